//! Mounting: what every program expects, and what the host asks for.

use std::{
    ffi::{CString, OsStr},
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use agent_protocol::message::{Mount, Unmount};
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

/// A file system that every machine has.
struct Standard {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    options: &'static std::ffi::CStr,
}

/// In this order: later ones lie within earlier ones.
const STANDARD: [Standard; 8] = {
    const NONE: MountFlags = MountFlags::empty();
    const CLOSED: MountFlags =
        MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
    const DATA: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
    [
        Standard { kind: "proc", target: "/proc", flags: CLOSED, options: c"" },
        Standard { kind: "sysfs", target: "/sys", flags: CLOSED, options: c"" },
        Standard { kind: "devtmpfs", target: "/dev", flags: NONE, options: c"mode=0755" },
        Standard {
            kind: "devpts",
            target: "/dev/pts",
            flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
            options: c"gid=5,mode=0620,ptmxmode=0666",
        },
        Standard { kind: "tmpfs", target: "/dev/shm", flags: DATA, options: c"mode=1777" },
        Standard { kind: "tmpfs", target: "/run", flags: DATA, options: c"mode=0755" },
        Standard { kind: "tmpfs", target: "/tmp", flags: DATA, options: c"mode=1777" },
        Standard { kind: "cgroup2", target: "/sys/fs/cgroup", flags: CLOSED, options: c"" },
    ]
};

/// Names that shells and scripts expect in `/dev`.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// A request to mount or unmount failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error("Mount target is not an absolute path: {0:?}")]
    NotAbsolute(PathBuf),
    #[error("Failed to create mount target {target:?}")]
    CreateTarget { target: PathBuf, source: io::Error },
    #[error("Failed to mount {subject:?} on {target:?}")]
    Mount { subject: PathBuf, target: PathBuf, source: io::Error },
    #[error("Failed to unmount {target:?}")]
    Unmount { target: PathBuf, source: io::Error },
}

/// Mounts what every program expects. What is mounted already stays; what fails is collected, as
/// there may be no console yet to say it on, and the machine may do without.
pub(crate) fn mount_standard() -> Vec<MountError> {
    let mut failures = Vec::new();
    for Standard { kind, target, flags, options } in STANDARD {
        // Absent only in an empty root; the mount tells if this failed.
        let _ = fs::create_dir(target);
        match mount(kind, target, kind, flags, options) {
            Ok(()) | Err(Errno::BUSY) => {}
            Err(errno) => failures.push(MountError::Mount {
                subject: kind.into(),
                target: target.into(),
                source: errno.into(),
            }),
        }
    }
    for (target, link) in LINKS {
        // There already, or without /dev, which has been noted.
        let _ = symlink(target, link);
    }
    failures
}

/// Mounts what the host asks for.
pub(crate) fn mount_for_host(request: &Mount) -> Result<(), MountError> {
    let source = Path::new(OsStr::from_bytes(&request.source));
    let target = absolute(&request.target)?;
    let flags = MountFlags::from_bits_retain(u32::try_from(request.flags).unwrap_or(u32::MAX));
    let failed = |errno: io::Error| MountError::Mount {
        subject: source.to_owned(),
        target: target.to_owned(),
        source: errno,
    };
    create_target(source, target, flags)
        .map_err(|source| MountError::CreateTarget { target: target.to_owned(), source })?;
    let options = CString::new(request.options.as_slice())
        .map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
    mount(source, target, request.kind.as_str(), flags, options.as_c_str())
        .map_err(|errno| failed(errno.into()))
}

/// A bind of a file needs a file to lie on, anything else a folder.
fn create_target(source: &Path, target: &Path, flags: MountFlags) -> io::Result<()> {
    if target.exists() {
        return Ok(());
    }
    let file = flags.contains(MountFlags::BIND) && source.metadata().is_ok_and(|m| !m.is_dir());
    if !file {
        return fs::create_dir_all(target);
    }
    target.parent().map_or(Ok(()), fs::create_dir_all)?;
    let file = fs::File::create_new(target)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// Unmounts what the host asks for.
pub(crate) fn unmount_for_host(request: &Unmount) -> Result<(), MountError> {
    let target = absolute(&request.target)?;
    let mut flags = UnmountFlags::NOFOLLOW;
    if request.detach {
        flags |= UnmountFlags::DETACH;
    }
    unmount(target, flags)
        .map_err(|errno| MountError::Unmount { target: target.to_owned(), source: errno.into() })
}

fn absolute(path: &[u8]) -> Result<&Path, MountError> {
    let path = Path::new(OsStr::from_bytes(path));
    if path.is_absolute() { Ok(path) } else { Err(MountError::NotAbsolute(path.to_owned())) }
}
