//! Making a container's world, in the child that becomes its first process.
//!
//! Everything is mounted in a mount namespace of the container, first below a staging folder of
//! the machine and by descriptors; then the container's root becomes the namespace's, and nothing
//! of the machine is left in it.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use agent_protocol::message::{CreateContainer, FailureKind};
use rustix::{
    mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount},
    process::{chdir, fchdir, pivot_root},
    system::{setdomainname, sethostname},
};

use super::{
    cgroup, devices,
    disks::Disks,
    kernel_files, masks, own_files,
    path::{Missing, display, resolve},
    rootfs::{self, RootfsError},
    tree::set_attributes,
    volumes,
};
use crate::failure::ToFailure;

/// Where and out of what containers are made on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// A folder to mount things in. It need not exist.
    pub(crate) staging: PathBuf,
    /// Where disks are found.
    pub(crate) disks: Disks,
    /// Where containers' control groups are.
    pub(crate) cgroups: cgroup::Parent,
    /// Whether the kernel's modules for containers are still to be loaded.
    pub(crate) load_modules: bool,
}

impl Machine {
    /// Removes what was made for all containers, when an agent ends before the machine.
    pub(crate) fn leave(&self) {
        self.cgroups.remove();
        // Nothing is mounted there but in containers' own namespaces.
        let _ = fs::remove_dir(&self.staging);
    }
}

/// A container could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("No root file system given")]
    NoRootfs,
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error("The image has something other than a folder at {0}")]
    NotAFolder(&'static str),
    #[error("Failed to mount {what} at {target}")]
    Mount { what: String, target: String, source: io::Error },
    #[error("Failed to make device {0}")]
    Device(String, #[source] io::Error),
    #[error("Failed to write {path} for the container")]
    File { path: String, source: io::Error },
    #[error("Failed to close {path} to writes")]
    ReadOnly { path: String, source: io::Error },
    #[error("Failed to mask {path}")]
    Mask { path: String, source: io::Error },
    #[error("No such path in volume {volume:?}: {path}")]
    NoSubpath { volume: String, path: String, source: io::Error },
    #[error("Failed to copy the image's files into volume {volume:?}")]
    Populate { volume: String, source: io::Error },
    #[error("No such kernel parameter: {0:?}")]
    BadSysctl(String),
    #[error("Failed to set kernel parameter {name:?}")]
    Sysctl { name: String, source: io::Error },
    #[error("Failed to {what}")]
    Namespace { what: &'static str, source: io::Error },
    #[error("Failed to make working directory {path}")]
    Cwd { path: String, source: io::Error },
}

impl ToFailure for SetupError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoRootfs | Self::BadSysctl(_) | Self::NotAFolder(_) => {
                FailureKind::InvalidRequest
            }
            Self::NoSubpath { .. } => FailureKind::NoSuchPath,
            Self::Cwd { .. } => FailureKind::WorkingDirectory,
            _ => FailureKind::System,
        }
    }
}

/// What the agent keeps of a container's file systems.
pub(super) struct Kept {
    /// The writable layer.
    pub(super) upper: OwnedFd,
    /// The read-only layers.
    pub(super) lower: OwnedFd,
    /// The folder of the files that the host writes, by their numbers in the request.
    pub(super) files: OwnedFd,
}

/// Makes this process's namespaces the container that `request` describes. Control group and
/// process namespace are there already.
pub(super) fn set_up(request: &CreateContainer, machine: &Machine) -> Result<Kept, SetupError> {
    let rootfs = request.rootfs.as_ref().ok_or(SetupError::NoRootfs)?;
    name(request)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)
        .map_err(|errno| namespace("close the mount namespace")(errno.into()))?;
    cgroup::enter_namespace().map_err(namespace("make a control group namespace"))?;
    fs::create_dir_all(&machine.staging).map_err(namespace("make the staging folder"))?;
    let parts = rootfs::mount(rootfs, &machine.disks, &machine.staging)?;
    let root = &parts.root;
    kernel_files::mount(root, request)?;
    set_sysctls(&request.sysctls)?;
    volumes::mount(root, &request.mounts)?;
    let files = own_files::bind(root, &request.files)?;
    make_cwd(root, request)?;
    if !request.privileged {
        masks::mask(root, &request.masked_paths)?;
        masks::close(root, &request.readonly_paths)?;
    }
    if !request.privileged && !devices::can_be_closed() {
        let nodev = MountAttrFlags::MOUNT_ATTR_NODEV;
        set_attributes(root, nodev, false).map_err(namespace("close the image's devices"))?;
    }
    if rootfs.read_only {
        set_attributes(root, MountAttrFlags::MOUNT_ATTR_RDONLY, false)
            .map_err(|source| SetupError::ReadOnly { path: "/".to_owned(), source })?;
    }
    change_root(root).map_err(namespace("change the root"))?;
    Ok(Kept { upper: parts.upper, lower: parts.lower, files })
}

fn namespace(what: &'static str) -> impl FnOnce(io::Error) -> SetupError {
    move |source| SetupError::Namespace { what, source }
}

fn name(request: &CreateContainer) -> Result<(), SetupError> {
    sethostname(request.hostname.as_bytes())
        .map_err(|errno| namespace("set the host name")(errno.into()))?;
    setdomainname(request.domainname.as_bytes())
        .map_err(|errno| namespace("set the domain name")(errno.into()))
}

/// Writes kernel parameters. Those of namespaces are the container's; the network's are the
/// machine's, whose network is the container's.
fn set_sysctls(sysctls: &[String]) -> Result<(), SetupError> {
    for sysctl in sysctls {
        let (name, value) =
            sysctl.split_once('=').ok_or_else(|| SetupError::BadSysctl(sysctl.clone()))?;
        let harmless = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if name.contains("..") || !name.chars().all(harmless) {
            return Err(SetupError::BadSysctl(name.to_owned()));
        }
        let path = Path::new("/proc/sys").join(name.trim_matches('/').replace('.', "/"));
        match fs::write(path, value) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SetupError::BadSysctl(name.to_owned()));
            }
            Err(source) => return Err(SetupError::Sysctl { name: name.to_owned(), source }),
        }
    }
    Ok(())
}

/// The first process's working directory need not be in the image.
fn make_cwd(root: &OwnedFd, request: &CreateContainer) -> Result<(), SetupError> {
    let cwd = request.process.as_ref().map_or(&[][..], |process| process.cwd.as_slice());
    resolve(root, cwd, Missing::Folder)
        .map(drop)
        .map_err(|source| SetupError::Cwd { path: display(cwd), source })
}

/// Makes `root` the root of this mount namespace and takes everything else out of it.
fn change_root(root: &OwnedFd) -> io::Result<()> {
    fchdir(root)?;
    // The old root comes to lie over the new one, where it is taken away.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}
