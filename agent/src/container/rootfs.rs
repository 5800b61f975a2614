//! A container's root file system: read-only layers under a writable one.

use std::{io, os::fd::OwnedFd, os::unix::ffi::OsStrExt, path::Path};

use agent_protocol::message::Rootfs;
use rustix::{
    fs::{Gid, Mode, OFlags, Uid, chmodat, chownat, mkdirat, open, openat},
    io::Errno,
    mount::MountAttrFlags,
    process::chdir,
};

use super::{
    disks::{DiskError, Disks},
    tree::Tree,
};

/// A root file system could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootfsError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("Failed to mount {kind} of {what} for the container's root")]
    Mount { kind: &'static str, what: String, source: io::Error },
    #[error("Failed to prepare {what} for the container's root")]
    Prepare { what: &'static str, source: io::Error },
}

/// What is kept of a root file system besides its place in the container.
pub(super) struct Parts {
    /// The merged root, mounted at `root` in the staging folder.
    pub(super) root: OwnedFd,
    /// The writable layer.
    pub(super) upper: OwnedFd,
    /// The read-only layers together.
    pub(super) lower: OwnedFd,
}

/// Mounts everything below `staging`, a folder of the machine, and leaves that as the working
/// directory: names are short then, and all layers' fit in one page.
pub(super) fn mount(rootfs: &Rootfs, disks: &Disks, staging: &Path) -> Result<Parts, RootfsError> {
    let prepare = |what| move |source: io::Error| RootfsError::Prepare { what, source };
    let at = folder(staging).map_err(prepare("the staging folder"))?;
    attach("tmpfs", "bulkhead", "size=16m,mode=0700", MountAttrFlags::empty(), &at)?;
    chdir(staging).map_err(|errno| prepare("the staging folder")(errno.into()))?;
    let layers = mount_layers(rootfs, disks)?;
    let lower = join_layers(&layers)?;
    let upper = mount_writable(rootfs, disks, &lower)?;
    let root = make("root").map_err(prepare("the mount point"))?;
    // Nothing that would make the upper layer differ from what an image's layer says.
    let lowers = layers.iter().rev().cloned().collect::<Vec<_>>().join(":");
    let options = format!(
        "lowerdir={lowers},upperdir=writable/upper,workdir=writable/work,\
         index=off,redirect_dir=off,metacopy=off"
    );
    attach_overlay(&options, &root)?;
    let root = folder(Path::new("root")).map_err(prepare("the root"))?;
    Ok(Parts { root, upper, lower })
}

/// Mounts the layers, the lowest first, and returns their names.
fn mount_layers(rootfs: &Rootfs, disks: &Disks) -> Result<Vec<String>, RootfsError> {
    let devices = disks.partitions(&rootfs.layers_serial, &rootfs.layers)?;
    let mut names = Vec::new();
    for (index, device) in devices.iter().enumerate() {
        let name = index.to_string();
        let target = make(&name)
            .map_err(|source| RootfsError::Prepare { what: "a layer's mount point", source })?;
        // Of the file system too, not of the mount alone: the disk cannot be opened for writing.
        attach("erofs", &text(device), "ro", MountAttrFlags::MOUNT_ATTR_RDONLY, &target)?;
        names.push(name);
    }
    if names.is_empty() {
        // An image without layers.
        make("empty").map_err(|source| RootfsError::Prepare { what: "an empty layer", source })?;
        names.push("empty".to_owned());
    }
    Ok(names)
}

/// The layers alone, to compare the writable one with.
fn join_layers(layers: &[String]) -> Result<OwnedFd, RootfsError> {
    let prepare = |source| RootfsError::Prepare { what: "the layers", source };
    if let [only] = layers {
        return folder(Path::new(only)).map_err(prepare);
    }
    let target = make("lower").map_err(prepare)?;
    let lowers = layers.iter().rev().cloned().collect::<Vec<_>>().join(":");
    attach_overlay(&format!("lowerdir={lowers}"), &target)?;
    folder(Path::new("lower")).map_err(prepare)
}

/// Mounts what takes the changes and returns the folder of the upper layer.
fn mount_writable(rootfs: &Rootfs, disks: &Disks, lower: &OwnedFd) -> Result<OwnedFd, RootfsError> {
    let prepare = |source: io::Error| RootfsError::Prepare { what: "the writable layer", source };
    let target = make("writable").map_err(prepare)?;
    if rootfs.writable_serial.is_empty() {
        let size = match rootfs.tmpfs_size {
            0 => String::new(),
            bytes => format!("size={bytes},"),
        };
        let options = format!("{size}mode=0700");
        attach("tmpfs", "bulkhead", &options, MountAttrFlags::empty(), &target)?;
    } else {
        let device = disks.whole(&rootfs.writable_serial)?;
        attach("ext4", &text(&device), "", MountAttrFlags::empty(), &target)?;
    }
    upper_folders(lower).map_err(prepare)
}

/// Makes overlayfs's two folders where they are not from an earlier time. The root looks as the
/// image's.
fn upper_folders(lower: &OwnedFd) -> io::Result<OwnedFd> {
    let writable = folder(Path::new("writable"))?;
    let made = make_in(&writable, "upper")?;
    make_in(&writable, "work")?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    if made {
        let image = rustix::fs::fstat(lower)?;
        let (owner, group) = (Uid::from_raw(image.st_uid), Gid::from_raw(image.st_gid));
        chownat(&writable, "upper", Some(owner), Some(group), rustix::fs::AtFlags::empty())?;
        let mode = Mode::from_raw_mode(image.st_mode & 0o7777);
        chmodat(&writable, "upper", mode, rustix::fs::AtFlags::empty())?;
    }
    Ok(openat(&writable, "upper", flags, Mode::empty())?)
}

fn attach(
    kind: &'static str,
    source: &str,
    options: &str,
    attributes: MountAttrFlags,
    target: &OwnedFd,
) -> Result<(), RootfsError> {
    Tree::new(kind, source, options, attributes)
        .and_then(|tree| tree.attach(target))
        .map_err(|error| RootfsError::Mount { kind, what: source.to_owned(), source: error })
}

/// By mount(2): the option for all lower layers at once is new in the other interface.
fn attach_overlay(options: &str, target: &OwnedFd) -> Result<(), RootfsError> {
    use std::os::fd::AsRawFd;
    let failed =
        |source| RootfsError::Mount { kind: "overlay", what: "the layers".to_owned(), source };
    let options = std::ffi::CString::new(options).map_err(|_| failed(Errno::INVAL.into()))?;
    let target = format!("/proc/self/fd/{}", target.as_raw_fd());
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("overlay", target.as_str(), "overlay", flags, options.as_c_str())
        .map_err(|errno| failed(errno.into()))
}

/// Makes a folder in the working directory and opens it.
fn make(name: &str) -> io::Result<OwnedFd> {
    make_in(rustix::fs::CWD, name)?;
    folder(Path::new(name))
}

/// Whether the folder is new.
fn make_in(at: impl std::os::fd::AsFd, name: &str) -> io::Result<bool> {
    match mkdirat(at, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(path.as_os_str().as_bytes(), flags, Mode::empty())?)
}

fn text(path: &Path) -> String {
    // Names of devices are the kernel's.
    path.to_string_lossy().into_owned()
}
