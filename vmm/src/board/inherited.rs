//! Descriptors that this process was started with. Where a path is wanted, `fd:N` names one.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// The descriptor that `path` names, if it names one; the original stays open.
///
/// # Errors
/// When there is no such descriptor.
pub fn inherited(path: &Path) -> Option<io::Result<OwnedFd>> {
    let number = path.to_str()?.strip_prefix("fd:")?.parse().ok()?;
    Some(duplicate(number))
}

pub(super) fn duplicate(number: u32) -> io::Result<OwnedFd> {
    // The number may be anything the user wrote: it must be an open descriptor.
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}"))?;
    let number = i32::try_from(number).map_err(io::Error::other)?;
    #[allow(unsafe_code)]
    // SAFETY: the descriptor was just seen to be open, and is only borrowed for a duplication;
    // those of this process's own making are not closed while a machine is being configured.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fd.try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsRawFd;

    use super::*;

    fn name(number: impl std::fmt::Display) -> String {
        format!("fd:{number}")
    }

    #[test]
    fn open_descriptor_is_duplicated() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"kernel").unwrap();
        file.rewind().unwrap();
        let fd = inherited(Path::new(&name(file.as_raw_fd()))).unwrap().unwrap();
        assert_ne!(fd.as_raw_fd(), file.as_raw_fd());
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).unwrap();
        assert_eq!(text, "kernel");
    }

    #[test]
    fn closed_descriptor_is_an_error() {
        for number in [987_654, u32::MAX] {
            assert!(inherited(Path::new(&name(number))).unwrap().is_err());
        }
    }

    #[test]
    fn path_of_a_file_names_no_descriptor() {
        for path in ["disk", "./fd:3", "fd:", "fd:-1", "fd:x", "/fd:3"] {
            assert!(inherited(Path::new(path)).is_none(), "{path}");
        }
    }
}
