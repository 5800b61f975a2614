//! Extended attributes, as archives carry them.

use std::os::fd::AsFd;

use rustix::{
    fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr},
    io::Errno,
};

/// What their names begin with in an archive's extended headers.
pub(super) const PREFIX: &str = "SCHILY.xattr.";

/// Those of overlayfs itself, which mean nothing elsewhere.
const OVERLAY: &[u8] = b"trusted.overlay.";

/// The longest list and the longest value that the kernel has (xattr(7)).
const LONGEST: usize = 64 << 10;

/// Names and values of an open file's attributes. A file system without any has none.
pub(super) fn read(fd: impl AsFd) -> Vec<(String, Vec<u8>)> {
    let Some(names) = filled(|buffer| flistxattr(&fd, buffer)) else { return Vec::new() };
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .filter(|name| !name.starts_with(OVERLAY))
        .filter_map(|name| {
            let value = filled(|buffer| fgetxattr(&fd, name, buffer))?;
            // Archives have names in UTF-8.
            Some((String::from_utf8(name.to_vec()).ok()?, value))
        })
        .collect()
}

/// Whether overlayfs hides what lower layers have in this folder.
pub(super) fn is_opaque(fd: impl AsFd) -> bool {
    let name = "trusted.overlay.opaque";
    filled(|buffer| fgetxattr(&fd, name, buffer)).is_some_and(|value| value == b"y")
}

/// Sets an attribute of an open file. One that the file system does not have is left out.
pub(super) fn write(fd: impl AsFd, name: &str, value: &[u8]) -> rustix::io::Result<()> {
    match fsetxattr(fd, name, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => Ok(()),
        result => result,
    }
}

fn filled(read: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>) -> Option<Vec<u8>> {
    let mut buffer = vec![0; LONGEST];
    let length = read(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}
