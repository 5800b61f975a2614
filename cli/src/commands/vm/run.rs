//! `bulkhead vm run`.

mod machine;
mod session;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, bail};
use vm_spec::{Component, VmSpec};

use crate::host::exec::ExecOptions;
use crate::host::machines::{self, MachineFolder};
use crate::host::monitor::{Console, Ended, Launch};
use crate::output;

pub(crate) const HELP: &str = "\
Examples:
  Boot a kernel and talk to it on the terminal (leave with Ctrl-] Ctrl-]):
    bulkhead vm run --kernel vmlinux --initrd initramfs.cpio
  Run one command in a fresh machine and get its output and exit status:
    bulkhead vm run --kernel vmlinux --initrd initramfs.cpio -- uname -a
  A disk and a network, in the background:
    bulkhead vm run --kernel vmlinux --disk path=rootfs.ext4,root --net tap=tap0 --detach

Exit status: that of the command, if there is one. Otherwise how the machine ended: 0 power off,
100 restart, 101 power button, 102 kernel panic, 103 triple fault, 104 KVM internal error,
105 entry refused by KVM, 106 stopped from outside. 1 and 2 are errors before there was a machine.";

/// What to boot and what to do with it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the machine (default: one is made up)
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    machine: machine::MachineArgs,
    /// Leave the machine running in the background and print its name
    #[arg(short, long, conflicts_with = "command")]
    detach: bool,
    /// Show the console while a command runs, on standard error
    #[arg(long, requires = "command")]
    show_console: bool,
    #[command(flatten)]
    exec: ExecOptions,
    /// Do not confine the monitor's system calls (for debugging)
    #[arg(long)]
    no_seccomp: bool,
    /// Command to run in the guest; needs an initrd with the agent
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let name = args.name.clone().unwrap_or_else(make_name);
    let folder = MachineFolder::create(&machines::root(), &name)?;
    let result = run_in(&args, &folder);
    if !matches!(result, Ok(Outcome::Detached)) {
        folder.remove();
    }
    match result? {
        Outcome::Detached => {
            output::line(folder.name())?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Status(status) => Ok(status.into()),
    }
}

enum Outcome {
    Detached,
    Status(u8),
}

fn run_in(args: &Args, folder: &MachineFolder) -> anyhow::Result<Outcome> {
    let spec = args.machine.spec(folder, args.detach, !args.command.is_empty())?;
    // Found here, an error has the name of the option rather than a line of the monitor's log.
    vm_spec::Machine::try_from(spec.clone())?;
    let document = serde_json::to_vec_pretty(&spec)?;
    fs::write(folder.spec_file(), document).context("failed to write the machine's document")?;
    let arguments = if args.no_seccomp { vec!["--no-seccomp".to_owned()] } else { Vec::new() };
    if args.detach {
        return detach(folder, arguments);
    }
    let vsock = vsock_path(&spec);
    let outcome = session::Session::start(args, folder, vsock, arguments)?.run()?;
    Ok(Outcome::Status(outcome))
}

/// Starts the monitor and waits until it says that the guest runs, or ends.
fn detach(folder: &MachineFolder, mut arguments: Vec<String>) -> anyhow::Result<Outcome> {
    let path = folder.api_socket().with_file_name("ready.sock");
    let ready = UnixDatagram::bind(&path)
        .with_context(|| format!("failed to make the socket {}", path.display()))?;
    arguments.extend(["--notify-socket".to_owned(), path.display().to_string()]);
    let launch = Launch { folder, console: Console::Kept, ends_with_us: false, arguments };
    let mut child = launch.spawn()?;
    let (events, event) = mpsc::channel();
    let readiness = events.clone();
    thread::spawn(move || {
        let mut message = [0; 256];
        if ready.recv(&mut message).is_ok() {
            let _ = readiness.send(None);
        }
    });
    thread::spawn(move || {
        let _ = events.send(child.wait().ok().map(Ended::from));
    });
    match event.recv()? {
        None => {
            // Nobody sends to it any more.
            let _ = fs::remove_file(path);
            Ok(Outcome::Detached)
        }
        Some(ended) => {
            let log = fs::read_to_string(folder.log_file()).unwrap_or_default();
            let last = log.lines().last().unwrap_or_default();
            bail!("{} {last}", ended.describe(&folder.log_file()))
        }
    }
}

fn vsock_path(spec: &VmSpec) -> Option<PathBuf> {
    spec.components.values().find_map(|component| match component {
        Component::VsockUnix(unix) => Some(unix.path.clone()),
        _ => None,
    })
}

fn make_name() -> String {
    let mut random = [0u8; 4];
    // Without randomness the process id does: names need to differ, not to be secret.
    if rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).is_err() {
        random = std::process::id().to_le_bytes();
    }
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("vm-{digits}")
}
