//! `/proc`, `/sys` and `/dev` of a container.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
};

use agent_protocol::message::CreateContainer;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, chmodat, mkdirat, mknodat, openat, symlinkat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    path::{Missing, resolve},
    setup::SetupError,
    tree::{Tree, set_attributes},
};

/// Bytes of `/dev/shm` where the host says nothing.
const SHM_SIZE: u64 = 64 << 20;

/// The devices that every program may count on, with their numbers
/// (kernel, `admin-guide/devices.txt`).
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// Mounts all of them in the root of a container.
pub(super) fn mount(root: &OwnedFd, request: &CreateContainer) -> Result<(), SetupError> {
    let closed = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let kernel =
        if request.privileged { closed } else { closed | MountAttrFlags::MOUNT_ATTR_RDONLY };
    attach("proc", "", closed, &own_folder(root, "/proc")?, "/proc")?;
    let sys = own_folder(root, "/sys")?;
    attach("sysfs", "", kernel, &sys, "/sys")?;
    let groups = below(root, "/sys/fs/cgroup")?;
    attach("cgroup2", "", kernel, &groups, "/sys/fs/cgroup")?;
    mount_dev(root, request)
}

fn mount_dev(root: &OwnedFd, request: &CreateContainer) -> Result<(), SetupError> {
    let nosuid = MountAttrFlags::MOUNT_ATTR_NOSUID;
    let noexec = nosuid | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let closed = noexec | MountAttrFlags::MOUNT_ATTR_NODEV;
    attach("tmpfs", "mode=0755,size=65536k", nosuid, &own_folder(root, "/dev")?, "/dev")?;
    let dev = below(root, "/dev")?;
    let failed = |name: &str| {
        let name = format!("/dev/{name}");
        move |errno: Errno| SetupError::Device(name, errno.into())
    };
    for (name, major, minor) in DEVICES {
        make_node(&dev, name, FileType::CharacterDevice, 0o666, (major, minor))
            .map_err(failed(name))?;
    }
    for (target, name) in LINKS {
        symlinkat(target, &dev, name).map_err(failed(name))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755)).map_err(failed(name))?;
    }
    let terminals = "gid=5,mode=0620,ptmxmode=0666";
    attach("devpts", terminals, noexec, &below(root, "/dev/pts")?, "/dev/pts")?;
    mount_shm(request, closed, &below(root, "/dev/shm")?)?;
    match attach("mqueue", "", closed, &below(root, "/dev/mqueue")?, "/dev/mqueue") {
        // A kernel without POSIX message queues.
        Err(SetupError::Mount { source, .. }) if is_unknown(&source) => {}
        result => result?,
    }
    if request.privileged {
        copy_devices(Path::new("/dev"), &dev)
            .map_err(|source| SetupError::Device("of the machine".to_owned(), source))?;
    }
    Ok(())
}

/// POSIX's shared memory: the machine's for those who share IPC, else the container's own.
fn mount_shm(
    request: &CreateContainer,
    attributes: MountAttrFlags,
    target: &OwnedFd,
) -> Result<(), SetupError> {
    const PATH: &str = "/dev/shm";
    if !request.share_ipc {
        let size = if request.shm_size == 0 { SHM_SIZE } else { request.shm_size };
        return attach("tmpfs", &format!("mode=1777,size={size}"), attributes, target, PATH);
    }
    Tree::bind(CWD, PATH, false)
        .and_then(|tree| {
            set_attributes(tree.root(), attributes, false)?;
            tree.attach(target)
        })
        .map_err(|source| SetupError::Mount {
            what: "shared memory".to_owned(),
            target: PATH.into(),
            source,
        })
}

fn attach(
    kind: &'static str,
    options: &str,
    attributes: MountAttrFlags,
    target: &OwnedFd,
    path: &'static str,
) -> Result<(), SetupError> {
    Tree::new(kind, kind, options, attributes)
        .and_then(|tree| tree.attach(target))
        .map_err(|source| SetupError::Mount { what: kind.to_owned(), target: path.into(), source })
}

fn is_unknown(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NODEV)
}

/// A folder right below the root that must be one: what programs trust to be the kernel's must
/// not lie where an image's symbolic link says.
fn own_folder(root: &OwnedFd, path: &'static str) -> Result<OwnedFd, SetupError> {
    let name = path.trim_start_matches('/');
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match mkdirat(root, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(SetupError::Device(path.to_owned(), errno.into())),
    }
    openat(root, name, flags, Mode::empty()).map_err(|_| SetupError::NotAFolder(path))
}

/// A folder in what has just been mounted.
fn below(root: &OwnedFd, path: &'static str) -> Result<OwnedFd, SetupError> {
    resolve(root, path.as_bytes(), Missing::Fail)
        .map_err(|source| SetupError::Device(path.to_owned(), source))
}

fn make_node(
    folder: &OwnedFd,
    name: impl rustix::path::Arg + Copy,
    kind: FileType,
    mode: u32,
    (major, minor): (u32, u32),
) -> rustix::io::Result<()> {
    let device = rustix::fs::makedev(major, minor);
    let mode = Mode::from_raw_mode(mode);
    mknodat(folder, name, kind, mode, device)?;
    // Whatever the mask is.
    chmodat(folder, name, mode, rustix::fs::AtFlags::empty())
}

/// Gives a privileged container all devices that the machine has.
fn copy_devices(from: &Path, to: &OwnedFd) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, metadata) = (entry.file_name(), entry.metadata()?);
        let kind = metadata.file_type();
        let node = if kind.is_block_device() {
            FileType::BlockDevice
        } else if kind.is_char_device() {
            FileType::CharacterDevice
        } else {
            if kind.is_dir() && !["pts", "shm", "mqueue"].iter().any(|own| name == *own) {
                mkdirat(to, &name, Mode::from_raw_mode(0o755))?;
                let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
                let folder = openat(to, &name, flags, Mode::empty())?;
                copy_devices(&entry.path(), &folder)?;
            }
            continue;
        };
        let number = metadata.rdev();
        let number = (rustix::fs::major(number), rustix::fs::minor(number));
        match make_node(to, name.as_os_str(), node, metadata.mode() & 0o777, number) {
            // The container's own.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
