//! Files whose content the host decides, such as `/etc/hosts`.
//!
//! They lie in a small file system of their own and are bound over the image's, so they are not
//! among the container's changes, and the host can rewrite them while it runs.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use agent_protocol::message::ContainerFile;
use rustix::{
    fs::{CWD, Mode, OFlags, fchmod, mkdirat, open, openat},
    mount::MountAttrFlags,
};

use super::{
    path::{Missing, display, resolve},
    setup::SetupError,
    tree::Tree,
};

/// A folder below the staging folder, which is the working directory here.
const FOLDER: &str = "files";

/// Writes the files and binds them. Returns their folder, where each has its index as name.
pub(super) fn bind(root: &OwnedFd, files: &[ContainerFile]) -> Result<OwnedFd, SetupError> {
    let failed = |source| SetupError::Mount {
        what: "a file system".to_owned(),
        target: "the container's own files".to_owned(),
        source,
    };
    let folder = folder().map_err(failed)?;
    for (index, file) in files.iter().enumerate() {
        let failed = |source| SetupError::File { path: display(&file.path), source };
        write(&folder, index, file).map_err(failed)?;
        let target = resolve(root, &file.path, Missing::File).map_err(failed)?;
        Tree::bind(&folder, &index.to_string(), false)
            .and_then(|tree| tree.attach(&target))
            .map_err(failed)?;
    }
    Ok(folder)
}

fn folder() -> io::Result<OwnedFd> {
    mkdirat(CWD, FOLDER, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = open(Path::new(FOLDER), flags, Mode::empty())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    Tree::new("tmpfs", "bulkhead", "size=4m,mode=0755", attributes)?.attach(&target)?;
    Ok(open(Path::new(FOLDER), flags, Mode::empty())?)
}

/// Writes one file in place: whoever has it open or bound sees the new content.
pub(super) fn write(folder: impl AsFd, index: usize, file: &ContainerFile) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(file.mode & 0o7777);
    let mut opened = File::from(openat(folder, index.to_string(), flags, mode)?);
    opened.write_all(&file.content)?;
    Ok(fchmod(&opened, mode)?)
}
