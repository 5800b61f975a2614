//! Paths in a container, walked from its root by descriptors.
//!
//! Symbolic links are followed by hand: one that is absolute begins at the container's root, `..`
//! stops there, and the magic links of `/proc` are nothing but text. So no image can make the
//! agent touch what is not the container's.

use std::{
    collections::VecDeque,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat},
    io::Errno,
};

/// As many symbolic links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// What to do where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is an error.
    Fail,
    /// Make a folder, and those above it.
    Folder,
    /// Make an empty file, and the folders above it.
    File,
}

/// Opens `path` below `root` without access to its content (`O_PATH`), symbolic links followed.
pub(crate) fn resolve(root: impl AsFd, path: &[u8], missing: Missing) -> io::Result<OwnedFd> {
    Walk::new(root, path)?.finish(missing)
}

/// A descriptor for the same thing without any access.
fn reopen(fd: impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

struct Walk {
    /// The folders from the root to here.
    folders: Vec<OwnedFd>,
    /// The names still to go.
    names: VecDeque<Vec<u8>>,
    links: usize,
}

impl Walk {
    fn new(root: impl AsFd, path: &[u8]) -> io::Result<Self> {
        Ok(Self { folders: vec![reopen(root)?], names: split(path), links: 0 })
    }

    fn here(&self) -> io::Result<&OwnedFd> {
        self.folders.last().ok_or_else(|| Errno::NOENT.into())
    }

    fn finish(mut self, missing: Missing) -> io::Result<OwnedFd> {
        while let Some(name) = self.names.pop_front() {
            if name == b".." {
                if self.folders.len() > 1 {
                    self.folders.pop();
                }
                continue;
            }
            let found = self.open(&name, missing)?;
            match FileType::from_raw_mode(fstat(&found)?.st_mode) {
                FileType::Symlink => self.follow(&found)?,
                FileType::Directory => self.folders.push(found),
                _ if self.names.is_empty() => return Ok(found),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        self.folders.pop().ok_or_else(|| Errno::NOENT.into())
    }

    fn open(&self, name: &[u8], missing: Missing) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let here = self.here()?;
        match openat(here, name, flags, Mode::empty()) {
            Err(Errno::NOENT) if missing != Missing::Fail => {
                self.make(name, missing)?;
                Ok(openat(here, name, flags, Mode::empty())?)
            }
            result => Ok(result?),
        }
    }

    fn make(&self, name: &[u8], missing: Missing) -> io::Result<()> {
        let here = self.here()?;
        if missing == Missing::File && self.names.is_empty() {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(here, name, flags, Mode::from_raw_mode(0o644))?;
        } else {
            mkdirat(here, name, Mode::from_raw_mode(0o755))?;
        }
        Ok(())
    }

    fn follow(&mut self, link: &OwnedFd) -> io::Result<()> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = readlinkat(link, "", Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            self.folders.truncate(1);
        }
        for name in split(&target).into_iter().rev() {
            self.names.push_front(name);
        }
        Ok(())
    }
}

fn split(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

/// A path's bytes as people read them.
pub(crate) fn display(path: &[u8]) -> String {
    std::ffi::OsStr::from_bytes(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, symlink},
        path::Path,
    };

    use rustix::fs::open;

    use super::*;

    fn inode(path: &Path) -> u64 {
        fs::symlink_metadata(path).unwrap().ino()
    }

    fn resolved(root: &Path, path: &str, missing: Missing) -> io::Result<u64> {
        let root = open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        Ok(fstat(resolve(root, path.as_bytes(), missing)?).unwrap().st_ino)
    }

    #[test]
    fn links_and_parents_stay_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/x")).unwrap();
        fs::write(root.path().join("etc/passwd"), "inside").unwrap();
        symlink("/etc", root.path().join("absolute")).unwrap();
        symlink("../../../../etc", root.path().join("etc/x/up")).unwrap();
        let expected = inode(&root.path().join("etc/passwd"));
        for path in ["/etc/passwd", "absolute/passwd", "/../../etc/x/up/passwd"] {
            assert_eq!(resolved(root.path(), path, Missing::Fail).unwrap(), expected);
        }
    }

    #[test]
    fn a_dangling_link_is_made_where_it_leads() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        symlink("../run/deep/stub", root.path().join("etc/resolv.conf")).unwrap();
        let made = resolved(root.path(), "/etc/resolv.conf", Missing::File).unwrap();
        assert_eq!(made, inode(&root.path().join("run/deep/stub")));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let error = resolved(root.path(), "/a", Missing::Folder).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::LOOP));
    }

    #[test]
    fn nothing_is_made_through_a_file() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let error = resolved(root.path(), "/file/below", Missing::Folder).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOTDIR));
    }
}
