//! The emulated machine as QEMU's arguments.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// The emulator, on the path.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Port on which the lab's server listens, inside.
pub const GUEST_PORT: u16 = 7000;

/// Of the lab's kernel. A fault in it, or a processor that hangs, ends the lab at once: what ran in
/// it can then be run again, where it would wait without end in a lab that limps on.
///
/// Processor 0 is kept free of processes, for no guest may run there. Whenever any processor restores
/// the x87's state, QEMU (7.2 to 10.0 at least) clears a flag of processor 0 in a word that an entry
/// to and an exit from a guest change too, and does so from the other processor's thread, without a
/// lock. What processor 0 changes at that moment is lost: after such an exit it translates the
/// host's addresses as the guest's, and the lab's kernel goes down.
const COMMAND_LINE: &str = "console=ttyS0 quiet mitigations=off tsc=reliable panic=-1 audit=0 \
    random.trust_cpu=on rcupdate.rcu_expedited=1 oops=panic \
    softlockup_panic=1 watchdog_thresh=30 isolcpus=domain,0";

/// Processors that run no processes: see [`COMMAND_LINE`].
const RESERVED_CPUS: u32 = 1;

/// A folder with `vmlinuz`, `initrd` and `token`, made by `scripts/lab-image`.
#[derive(Clone, Debug)]
pub struct Image(pub PathBuf);

impl Image {
    /// The token that the image's server asks for.
    pub fn token(&self) -> Result<String> {
        let path = self.0.join("token");
        std::fs::read_to_string(&path).with_context(|| format!("Failed to read {}", path.display()))
    }
}

/// The machine's size.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Memory in MiB.
    pub memory: u64,
    /// Processors for what runs in it.
    pub cpus: u32,
}

/// How the machine's memory comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Booted; memory is the shared file, so that it can be kept.
    Boot,
    /// Taken from a saved state; memory is a private view of the file.
    Restore,
}

/// Files of a saved machine.
#[derive(Clone, Debug)]
pub struct SavedFiles {
    /// Its memory, sparse.
    pub memory: PathBuf,
    /// The state of processors and devices.
    pub devices: PathBuf,
}

impl SavedFiles {
    /// The two files in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Self { memory: folder.join("memory"), devices: folder.join("devices") }
    }
}

/// Starts QEMU with its monitor on standard input and output, its own messages
/// and the machine's console in files of `folder`.
pub fn spawn(
    image: &Image,
    size: Size,
    start: Start,
    saved: &SavedFiles,
    folder: &Path,
) -> Result<Child> {
    let log = folder.join("qemu.log");
    let log_file = File::create(&log).with_context(|| format!("Failed to create {log:?}"))?;
    let mut command = Command::new(PROGRAM);
    command
        .args(machine_arguments(size, start, saved))
        .args(device_arguments())
        .arg("-serial")
        .arg(with_path("file:", &folder.join("console.log"), ""))
        .arg("-kernel")
        .arg(image.0.join("vmlinuz"))
        .arg("-initrd")
        .arg(image.0.join("initrd"))
        .args(["-append", COMMAND_LINE])
        .args((start == Start::Restore).then_some(["-incoming", "defer"]).into_iter().flatten())
        // The path of the state, for the shell that QEMU runs to read or write it.
        .env("BULKHEAD_LAB_DEVICES", &saved.devices)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log_file);
    // Not ended by a terminal's ^C meant for a command.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().with_context(|| format!("Failed to start {PROGRAM}"))
}

/// Names everything that a saved machine must have in common with the one that
/// takes it over.
pub fn fingerprint(size: Size) -> u64 {
    let mut hasher = DefaultHasher::new();
    machine_arguments(size, Start::Boot, &SavedFiles::in_folder(Path::new(""))).hash(&mut hasher);
    device_arguments().hash(&mut hasher);
    COMMAND_LINE.hash(&mut hasher);
    hasher.finish()
}

fn machine_arguments(size: Size, start: Start, saved: &SavedFiles) -> Vec<OsString> {
    let share = if start == Start::Boot { "on" } else { "off" };
    let memory = format!(
        "memory-backend-file,id=ram,size={}M,share={share},reserve=off,mem-path=",
        size.memory
    );
    let fixed = [
        "-no-user-config",
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
        "-accel",
        "tcg,thread=multi,tb-size=1024",
        // Five-level page tables only make the emulation slower. Without ERMS
        // kernels fill and copy pages by eight bytes, not by one: each store to
        // a page that once held code is slow here.
        "-cpu",
        "max,-la57,-erms,-fsrm",
        "-M",
        "q35,memory-backend=ram,smm=off,hpet=off",
        "-chardev",
        "stdio,id=qmp,signal=off",
        "-mon",
        "chardev=qmp,mode=control",
    ];
    let mut arguments: Vec<OsString> = fixed.iter().map(OsString::from).collect();
    arguments.extend(["-smp".into(), (size.cpus + RESERVED_CPUS).to_string().into()]);
    arguments.extend(["-m".into(), format!("{}M", size.memory).into()]);
    arguments.extend(["-object".into(), with_path(&memory, &saved.memory, "")]);
    arguments
}

fn device_arguments() -> Vec<OsString> {
    let forward = format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:{GUEST_PORT}");
    [
        "-netdev",
        forward.as_str(),
        "-device",
        "virtio-net-pci,netdev=net,romfile=",
        // The server opens the port "ready" when it listens; QEMU tells us.
        "-device",
        "virtio-serial-pci",
        "-chardev",
        "null,id=ready",
        "-device",
        "virtserialport,chardev=ready,name=ready,id=ready",
        "-device",
        "virtio-rng-pci",
        "-virtfs",
        "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
    ]
    .iter()
    .map(OsString::from)
    .collect()
}

/// An option that ends in a path; QEMU wants commas in it doubled.
fn with_path(before: &str, path: &Path, after: &str) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = before.as_bytes().to_vec();
    for byte in path.as_os_str().as_bytes() {
        bytes.push(*byte);
        if *byte == b',' {
            bytes.push(b',');
        }
    }
    bytes.extend_from_slice(after.as_bytes());
    OsString::from_vec(bytes)
}
