//! Guests that open more than they may.

use std::fs;

use zerocopy::IntoBytes;

use super::guest::{Guest, ROOT, number};
use crate::fs::{Opcode, ShareOptions};

/// A guest over a single file, whose folder is none of the host's, that may have a sixth of
/// `nodes` open.
fn guest(nodes: usize) -> Guest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "content").unwrap();
    Guest::limited(folder, &path, ShareOptions::default(), nodes)
}

impl Guest {
    fn open_folder(&mut self) -> Result<u64, i32> {
        self.ask(Opcode::Opendir, ROOT, &[0; 8]).map(|bytes| number(&bytes, 0))
    }

    /// Opens the root until that fails; the handles and the error.
    fn open_folders(&mut self) -> (Vec<u64>, i32) {
        let mut handles = Vec::new();
        loop {
            match self.open_folder() {
                Ok(fh) => handles.push(fh),
                Err(error) => return (handles, error),
            }
            assert!(handles.len() < 10_000, "there is no end");
        }
    }
}

#[test]
fn files_and_folders_that_are_open_are_limited_together() {
    let mut guest = guest(600);
    let file = guest.node("file");
    let fh = guest.open(file, libc::O_RDONLY).unwrap();
    let (folders, error) = guest.open_folders();
    assert_eq!((folders.len(), error), (99, libc::ENFILE));
    assert_eq!(guest.open(file, libc::O_RDONLY), Err(libc::ENFILE));
    // What is open works, and what is closed makes room.
    assert_eq!(guest.read(fh, 0, 100).unwrap(), b"content");
    guest.ask(Opcode::Releasedir, ROOT, [folders[0], 0, 0].as_bytes()).unwrap();
    guest.open(file, libc::O_RDONLY).unwrap();
    // A session that begins anew has nothing open.
    guest.ask(Opcode::Destroy, 0, &[]).unwrap();
    guest.begin().unwrap();
    assert_eq!(guest.open_folders().0.len(), 100);
}

#[test]
fn folders_that_are_open_are_limited_more_than_files() {
    let mut guest = guest(60_000);
    let (folders, error) = guest.open_folders();
    assert_eq!((folders.len(), error), (2048, libc::ENFILE));
    let file = guest.node("file");
    guest.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(guest.open_folder(), Err(libc::ENFILE));
    guest.ask(Opcode::Releasedir, ROOT, [folders[0], 0, 0].as_bytes()).unwrap();
    guest.open_folder().unwrap();
}

#[test]
fn file_for_which_there_is_no_handle_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("share");
    fs::create_dir(&path).unwrap();
    let mut guest = Guest::limited(folder, &path, ShareOptions::default(), 100);
    for n in 0..16 {
        guest.create(&n.to_string(), 0o644).unwrap();
    }
    assert_eq!(guest.create("one-more", 0o644).unwrap_err(), libc::ENFILE);
    assert!(!guest.path("one-more").exists());
}
