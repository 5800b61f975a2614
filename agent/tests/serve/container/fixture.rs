//! A container of busybox on an agent of its own.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::Command,
};

use agent_protocol::{
    client::{CallError, ExecSession, ExecSpec, Output},
    message::{
        Confinement, ContainerEnd, ContainerRef, CreateContainer, Exec, FailureKind, Reply,
        Request, Rootfs, Stdio, Stream, Terminal, WaitContainer,
    },
};
use tempfile::TempDir;

use crate::harness::TestAgent;

/// The serial number of the disk with the image.
const IMAGE: &str = "image";

/// The name of the container.
pub(crate) const ID: &str = "box";

/// Whether containers can be made here; says why not.
pub(crate) fn possible() -> bool {
    let kinds = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let missing = ["erofs", "overlay", "cgroup2"].into_iter().find(|kind| !kinds.contains(kind));
    let reason = if !rustix::process::getuid().is_root() {
        Some("only root makes containers".to_owned())
    } else if let Some(kind) = missing {
        Some(format!("the kernel has no {kind}"))
    } else if !Path::new("/usr/bin/busybox").exists() {
        Some("busybox-static is not installed".to_owned())
    } else {
        None
    };
    if let Some(reason) = &reason {
        eprintln!("skipped: {reason}");
    }
    reason.is_none()
}

/// An agent with disks.
pub(crate) struct Guest {
    pub(crate) agent: TestAgent,
    loops: Vec<PathBuf>,
    folder: TempDir,
}

impl Guest {
    /// An agent whose image is busybox with what `add` puts into it.
    pub(crate) fn with_image(add: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disks = folder.path().join("disks");
        fs::create_dir(&disks).unwrap();
        let agent = TestAgent::with_arguments(&["--disks".as_ref(), disks.as_os_str()]);
        let mut guest = Self { agent, loops: Vec::new(), folder };
        let image = guest.folder.path().join("rootfs");
        make_busybox(&image);
        add(&image);
        guest.add_layer(1, &image);
        guest
    }

    pub(crate) fn new() -> Self {
        Self::with_image(|_| {})
    }

    /// Makes a folder a partition of the image's disk.
    pub(crate) fn add_layer(&mut self, number: u32, folder: &Path) {
        let file = self.folder.path().join(format!("layer-{number}"));
        run(Command::new("mkfs.erofs").arg("--quiet").arg(&file).arg(folder));
        self.add_disk(&format!("{IMAGE}-{number}"), &file);
    }

    /// Adds a disk with an empty ext4.
    pub(crate) fn add_writable(&mut self, serial: &str) {
        let file = self.folder.path().join(serial);
        fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
        run(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&file));
        self.add_disk(serial, &file);
    }

    fn add_disk(&mut self, name: &str, file: &Path) {
        let output = Command::new("losetup").args(["--show", "-f"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let device = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        symlink(&device, self.folder.path().join("disks").join(name)).unwrap();
        self.loops.push(device);
    }

    pub(crate) fn request(&self, request: Request) -> Result<Reply, CallError> {
        self.agent.client.request(request)
    }

    pub(crate) fn create(&self, create: CreateContainer) -> Result<(), CallError> {
        self.request(Request::CreateContainer(Box::new(create))).map(drop)
    }

    /// Starts the container with the given streams of its first process.
    pub(crate) fn start(&self, streams: &[Stream]) -> Result<ExecSession, CallError> {
        let start = Request::StartContainer(ContainerRef { id: ID.into() });
        self.agent.client.session(start, streams)
    }

    pub(crate) fn wait(&self) -> ContainerEnd {
        let reply = self.request(Request::WaitContainer(WaitContainer { id: ID.into() })).unwrap();
        let Reply::ContainerEnd(end) = reply else { panic!("{reply:?}") };
        end
    }

    pub(crate) fn delete(&self) {
        self.request(Request::DeleteContainer(ContainerRef { id: ID.into() })).unwrap();
    }

    /// Runs a container to its end and deletes it; what its first process wrote, and its status.
    pub(crate) fn run(&self, create: CreateContainer) -> (String, u32) {
        self.create(create).unwrap();
        let mut session = self.start(&[Stream::Stdout]).unwrap();
        let output = read(session.stdout.take().unwrap());
        let end = self.wait();
        self.delete();
        (output, if end.signal == 0 { end.code } else { 128 + end.signal })
    }

    /// What a script prints in a fresh container.
    pub(crate) fn sh(&self, script: &str) -> String {
        self.run(container(script)).0
    }

    /// Makes a container and starts it; it runs until it is told to end.
    pub(crate) fn keep_running(&self, create: CreateContainer) {
        self.create(create).unwrap();
        self.start(&[]).unwrap();
    }

    /// Runs a command in the container.
    pub(crate) fn exec(&self, spec: &ExecSpec) -> Result<Output, CallError> {
        self.agent.client.run(&spec.clone().container(ID), b"")
    }

    pub(crate) fn exec_sh(&self, script: &str) -> String {
        let output = self.exec(&crate::harness::sh(script)).unwrap();
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let delete = Request::DeleteContainer(ContainerRef { id: ID.into() });
        // It may be gone already, and the agent too.
        let _ = self.request(delete);
        for device in &self.loops {
            let _ = Command::new("losetup").arg("-d").arg(device).status();
        }
    }
}

/// A container that runs a script of busybox's shell, with its changes in memory.
pub(crate) fn container(script: &str) -> CreateContainer {
    let words = ["/bin/sh", "-c", script];
    CreateContainer {
        id: ID.into(),
        rootfs: Some(Rootfs {
            layers_serial: IMAGE.into(),
            layers: vec![1],
            tmpfs_size: 16 << 20,
            ..Rootfs::default()
        }),
        process: Some(Exec {
            argv: words.map(Into::into).to_vec(),
            stdout: Stdio::Stream.into(),
            stderr: Stdio::SameAsStdout.into(),
            confinement: Some(Box::new(confinement())),
            ..Exec::default()
        }),
        hostname: "boxed".into(),
        ..CreateContainer::default()
    }
}

/// A container that runs until it is killed.
pub(crate) fn idle() -> CreateContainer {
    let mut create = container("");
    process(&mut create).argv = ["sleep", "1000"].map(Into::into).to_vec();
    process(&mut create).stdout = Stdio::Null.into();
    process(&mut create).stderr = Stdio::Null.into();
    create
}

pub(crate) fn process(create: &mut CreateContainer) -> &mut Exec {
    create.process.as_mut().unwrap()
}

pub(crate) fn terminal(rows: u32, columns: u32) -> Option<Terminal> {
    Some(Terminal { rows, columns })
}

/// What an engine lets a container do that asks for nothing.
pub(crate) fn confinement() -> Confinement {
    let names = [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ];
    let capabilities = names.map(|name| format!("CAP_{name}")).to_vec();
    Confinement { capabilities, ..Confinement::default() }
}

pub(crate) fn read(mut stream: UnixStream) -> String {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
    text(&bytes)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn kind_of<T>(result: Result<T, CallError>) -> (FailureKind, String) {
    let Err(error) = result else { panic!("it worked") };
    (error.kind().unwrap_or_else(|| panic!("{error}")), error.to_string())
}

fn make_busybox(root: &Path) {
    for folder in ["bin", "etc", "root", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in [
        "sh", "cat", "echo", "ls", "id", "sleep", "hostname", "stat", "mount", "touch", "rm",
        "mkdir", "ln", "grep", "head", "tail", "tty", "stty", "env", "pwd", "ps", "kill", "true",
        "dd", "mknod", "readlink", "wc", "ulimit", "seq", "mkfifo", "chown", "chmod", "mv",
        "umount", "sync", "date", "cut", "tr", "sort", "find", "unshare", "test", "df",
    ] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users).unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nwww:x:33:\nlog:x:4:web,root\n").unwrap();
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
