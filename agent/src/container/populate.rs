//! Filling a new volume with what the image has in its place.

use std::{io, os::fd::OwnedFd};

use rustix::fs::{Dir, Mode, OFlags, openat};

use crate::archive;

/// Copies what is in `image` to `volume`, if there is nothing in that.
pub(super) fn populate(volume: &OwnedFd, image: &OwnedFd) -> io::Result<()> {
    if !is_empty(volume)? || is_empty(image)? {
        return Ok(());
    }
    archive::copy(image, volume)
}

fn is_empty(folder: &OwnedFd) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(folder, ".", flags, Mode::empty())?;
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b".." | b"lost+found") {
            return Ok(false);
        }
    }
    Ok(true)
}
