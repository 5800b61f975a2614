use std::fs;

use rustix::fs::{CWD, Mode, OFlags, openat};
use tempfile::TempDir;

use super::*;

/// Descriptors that there may be; the root has one of them.
const LIMIT: usize = 100;

struct Share {
    folder: TempDir,
    nodes: Nodes,
}

impl Share {
    /// With so many files, whose names are numbers.
    fn new(files: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..files {
            fs::write(folder.path().join(n.to_string()), "").unwrap();
        }
        let mut nodes = Nodes::new(LIMIT);
        let root = openat(CWD, folder.path(), OFlags::PATH, Mode::empty()).unwrap();
        let stat = stat_at(CWD, &name(folder.path().to_str().unwrap())).unwrap();
        nodes.set_root(root, &stat);
        Self { folder, nodes }
    }

    fn look_up(&mut self, file: usize) -> Result<u64, Errno> {
        let name = name(&file.to_string());
        let root = self.nodes.folder(ROOT)?;
        let stat = stat_at(root, &name)?;
        let fd = openat(root, &name, OFlags::PATH, Mode::empty())?;
        self.nodes.enter(fd, &stat, Some((ROOT, &name)))
    }

    fn remove(&self, file: usize) {
        fs::remove_file(self.folder.path().join(file.to_string())).unwrap();
    }
}

fn name(text: &str) -> CString {
    CString::new(text).unwrap()
}

#[test]
fn files_that_cannot_be_closed_are_sought_once_and_not_for_each_lookup() {
    let mut share = Share::new(200);
    let held: Vec<u64> = (0..LIMIT - 1).map(|n| share.look_up(n).unwrap()).collect();
    (0..LIMIT - 1).for_each(|n| share.remove(n));
    for n in LIMIT..200 {
        assert_eq!(share.look_up(n), Err(Errno::NFILE));
    }
    assert_eq!(share.nodes.sought.get(), LIMIT - 1);
    // What is asked of those that are held changes nothing of this.
    for id in &held {
        share.nodes.get(*id).unwrap();
        share.nodes.opened(*id);
    }
    assert_eq!(share.look_up(LIMIT), Err(Errno::NFILE));
    assert_eq!(share.nodes.sought.get(), LIMIT - 1);
    // One that was open may have got a name again meanwhile.
    share.nodes.released(held[0]);
    assert_eq!(share.look_up(LIMIT), Err(Errno::NFILE));
    assert_eq!(share.nodes.sought.get(), LIMIT);
    share.nodes.forget(held[0], 1);
    share.look_up(LIMIT).unwrap();
}

#[test]
fn open_files_are_closed_once_the_guest_has_closed_them() {
    let mut share = Share::new(200);
    let held: Vec<u64> = (0..LIMIT - 1).map(|n| share.look_up(n).unwrap()).collect();
    held.iter().for_each(|id| share.nodes.opened(*id));
    assert_eq!(share.look_up(LIMIT), Err(Errno::NFILE));
    assert_eq!(share.nodes.sought.get(), 0);
    share.nodes.released(held[7]);
    share.look_up(LIMIT).unwrap();
    assert_eq!(share.nodes.closed(held[7]), Some((ROOT, name("7"))));
}

#[test]
fn file_that_is_found_under_another_name_can_be_closed_again() {
    let mut share = Share::new(LIMIT + 1);
    let held: Vec<u64> = (0..LIMIT - 1).map(|n| share.look_up(n).unwrap()).collect();
    (1..LIMIT - 1).for_each(|n| share.remove(n));
    let path = |n: usize| share.folder.path().join(n.to_string());
    fs::rename(path(0), path(500)).unwrap();
    assert_eq!(share.look_up(LIMIT), Err(Errno::NFILE));
    assert_eq!(share.look_up(500), Ok(held[0]));
    share.look_up(LIMIT).unwrap();
    assert_eq!(share.nodes.closed(held[0]), Some((ROOT, name("500"))));
}

#[test]
fn nodes_that_come_and_go_leave_no_place_in_the_line() {
    let mut share = Share::new(1);
    for _ in 0..10 * SLACK {
        let id = share.look_up(0).unwrap();
        share.nodes.forget(id, 1);
    }
    assert!(share.nodes.order.len() <= SLACK + 2, "{}", share.nodes.order.len());
}
