//! File systems that the host mounts in a container: shares of its own, and memory.

use std::os::fd::OwnedFd;

use agent_protocol::message::{ContainerMount, MountKind};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    path::{Missing, display, resolve},
    populate, readahead,
    setup::SetupError,
    tree::{Tree, set_attributes},
};

/// Mounts all of them, in their order.
pub(super) fn mount(root: &OwnedFd, mounts: &[ContainerMount]) -> Result<(), SetupError> {
    mounts.iter().try_for_each(|mount| mount_one(root, mount))
}

fn mount_one(root: &OwnedFd, mount: &ContainerMount) -> Result<(), SetupError> {
    let failed = |source: std::io::Error| SetupError::Mount {
        what: match mount.kind() {
            MountKind::VirtioFs => format!("volume {:?}", mount.source),
            MountKind::Tmpfs => "a tmpfs".to_owned(),
        },
        target: display(&mount.target),
        source,
    };
    let (attributes, options) = split_options(&mount.options);
    let tree = match mount.kind() {
        MountKind::VirtioFs => {
            let share = Tree::new("virtiofs", &mount.source, &options, MountAttrFlags::empty());
            let share = share.map_err(failed)?;
            // Without it reading is slower; nothing else is.
            let _ = readahead::widen(share.root());
            part_of(share, mount)?
        }
        MountKind::Tmpfs => {
            let nothing = MountAttrFlags::empty();
            Tree::new("tmpfs", "tmpfs", &options, nothing).map_err(failed)?
        }
    };
    let kind = fstat(tree.root()).map_err(|errno| failed(errno.into()))?.st_mode;
    let folder = FileType::from_raw_mode(kind) == FileType::Directory;
    let missing = if folder { Missing::Folder } else { Missing::File };
    let target = resolve(root, &mount.target, missing).map_err(failed)?;
    if mount.populate && folder {
        populate::populate(tree.root(), &target)
            .map_err(|source| SetupError::Populate { volume: mount.source.clone(), source })?;
    }
    set_attributes(tree.root(), attributes, false).map_err(failed)?;
    tree.attach(&target).map_err(failed)
}

/// The part of a share that is to be mounted. It is found in the share alone: a link in it leads
/// nowhere else.
fn part_of(share: Tree, mount: &ContainerMount) -> Result<Tree, SetupError> {
    if mount.subpath.is_empty() {
        return Ok(share);
    }
    let missing = |source: std::io::Error| SetupError::NoSubpath {
        volume: mount.source.clone(),
        path: display(&mount.subpath),
        source,
    };
    // A mount that is attached nowhere cannot be bound from by every kernel.
    let staging = stage(&share).map_err(missing)?;
    let part = resolve(staging, &mount.subpath, Missing::Fail).map_err(missing)?;
    Tree::bind(part, "", false).map_err(missing)
}

/// Attaches a share in the staging folder, which is the working directory here. Several lie over
/// one another; each is used by its descriptor.
fn stage(share: &Tree) -> std::io::Result<&OwnedFd> {
    match mkdirat(CWD, "share", Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    share.attach(openat(CWD, "share", flags, Mode::empty())?)?;
    Ok(share.root())
}

/// Takes what is said of the mount out of what is said to the file system.
fn split_options(options: &str) -> (MountAttrFlags, String) {
    let mut attributes = MountAttrFlags::empty();
    let mut others = Vec::new();
    for option in options.split(',') {
        attributes |= match option {
            "ro" => MountAttrFlags::MOUNT_ATTR_RDONLY,
            "nosuid" => MountAttrFlags::MOUNT_ATTR_NOSUID,
            "nodev" => MountAttrFlags::MOUNT_ATTR_NODEV,
            "noexec" => MountAttrFlags::MOUNT_ATTR_NOEXEC,
            "noatime" => MountAttrFlags::MOUNT_ATTR_NOATIME,
            "nodiratime" => MountAttrFlags::MOUNT_ATTR_NODIRATIME,
            "nosymfollow" => MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW,
            "" | "rw" | "suid" | "dev" | "exec" | "relatime" | "defaults" => {
                MountAttrFlags::empty()
            }
            other => {
                others.push(other);
                continue;
            }
        };
    }
    (attributes, others.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_mount_and_of_the_file_system_are_told_apart() {
        let (attributes, others) = split_options("ro,size=1m,noexec,rw,mode=1777");
        let expected = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        assert_eq!((attributes, others.as_str()), (expected, "size=1m,mode=1777"));
    }
}
