//! Things in folders, opened without following links.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags, openat, statx};

/// What lies under a name, and what it is.
pub(super) struct Node {
    /// Without access to its content.
    pub(super) fd: OwnedFd,
    pub(super) status: Statx,
}

impl Node {
    /// Opens what lies under `name`.
    pub(super) fn open(folder: impl AsFd, name: &[u8]) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of(openat(folder, name, flags, Mode::empty())?)
    }

    pub(super) fn of(fd: OwnedFd) -> rustix::io::Result<Self> {
        let mask = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let status = statx(&fd, "", AtFlags::EMPTY_PATH, mask)?;
        Ok(Self { fd, status })
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.status.stx_mode.into())
    }

    /// A whiteout of overlayfs: a character device with number 0.
    pub(super) fn is_whiteout(&self) -> bool {
        let number = (self.status.stx_rdev_major, self.status.stx_rdev_minor);
        self.kind() == FileType::CharacterDevice && number == (0, 0)
    }

    /// Identifies a file that may have several names.
    pub(super) fn identity(&self) -> (u32, u32, u64) {
        (self.status.stx_dev_major, self.status.stx_dev_minor, self.status.stx_ino)
    }
}

/// The names in a folder, in order.
pub(super) fn names_in(folder: impl AsFd) -> io::Result<Vec<CString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(folder, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::read_from(opened)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A name below a folder's.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}
