//! Paths of a container that read as empty, and paths that cannot be written below.

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{FileType, fstat},
    mount::MountAttrFlags,
};

use super::{
    path::{Missing, display, resolve},
    setup::SetupError,
    tree::{Tree, set_attributes},
};

/// Hides what is there: a file behind the null device, a folder behind an empty one.
pub(super) fn mask(root: &OwnedFd, paths: &[Vec<u8>]) -> Result<(), SetupError> {
    for path in paths {
        let failed = |source| SetupError::Mask { path: display(path), source };
        if let Some(target) = existing(root, path).map_err(failed)? {
            mask_one(root, &target).map_err(failed)?;
        }
    }
    Ok(())
}

fn mask_one(root: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let folder = FileType::from_raw_mode(fstat(target)?.st_mode) == FileType::Directory;
    let tree = if folder {
        Tree::new("tmpfs", "tmpfs", "size=0", MountAttrFlags::MOUNT_ATTR_RDONLY)?
    } else {
        Tree::bind(resolve(root, b"/dev/null", Missing::Fail)?, "", false)?
    };
    tree.attach(target)
}

/// Makes paths read-only, with all that is mounted below them.
pub(super) fn close(root: &OwnedFd, paths: &[Vec<u8>]) -> Result<(), SetupError> {
    for path in paths {
        let failed = |source| SetupError::ReadOnly { path: display(path), source };
        if let Some(target) = existing(root, path).map_err(failed)? {
            let close = || {
                let tree = Tree::bind(&target, "", true)?;
                set_attributes(tree.root(), MountAttrFlags::MOUNT_ATTR_RDONLY, true)?;
                tree.attach(&target)
            };
            close().map_err(failed)?;
        }
    }
    Ok(())
}

/// What is not there needs no protection.
fn existing(root: &OwnedFd, path: &[u8]) -> io::Result<Option<OwnedFd>> {
    match resolve(root, path, Missing::Fail) {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
