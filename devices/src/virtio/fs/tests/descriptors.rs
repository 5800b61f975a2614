//! Guests that know more files than the monitor may have descriptors.

use std::fs;

use super::guest::{Entry, Guest, ROOT, number, text};
use crate::fs::{Opcode, ShareOptions};

/// Descriptors of nodes; the root has one of them.
const LIMIT: usize = 10;

/// A guest over a folder with the files `0` to `39`, whose content is their name.
fn guest() -> Guest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("share");
    fs::create_dir(&path).unwrap();
    for n in 0..40 {
        fs::write(path.join(n.to_string()), n.to_string()).unwrap();
    }
    Guest::limited(folder, &path, ShareOptions::default(), LIMIT)
}

impl Guest {
    /// Looks so many other files up, from `10` on, that descriptors of earlier ones are closed.
    fn crowd(&mut self) {
        for n in 10..40 {
            self.node(&n.to_string());
        }
    }

    /// Number of links.
    fn links(&mut self, node: u64) -> Result<u32, i32> {
        self.ask(Opcode::Getattr, node, &[0; 16]).map(|bytes| number(&bytes, 16 + 64) as u32)
    }

    fn content(&mut self, node: u64) -> String {
        let fh = self.open(node, libc::O_RDONLY).unwrap();
        let content = String::from_utf8(self.read(fh, 0, 100).unwrap()).unwrap();
        self.ask(Opcode::Release, node, zerocopy::IntoBytes::as_bytes(&[fh, 0, 0])).unwrap();
        content
    }

    fn descriptors_in(&self) -> usize {
        let path = self.path("");
        let fds = fs::read_dir("/proc/self/fd").unwrap();
        fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
            .filter(|target| target.starts_with(&path))
            .count()
    }
}

#[test]
fn more_files_are_known_than_descriptors_are_held() {
    let mut guest = guest();
    let before = guest.descriptors_in();
    let nodes: Vec<Entry> = (0..40).map(|n| guest.lookup(ROOT, n.to_string()).unwrap()).collect();
    assert!(guest.descriptors_in() < before + LIMIT);
    for (n, entry) in nodes.iter().enumerate() {
        assert_eq!(guest.content(entry.node), n.to_string());
        assert_eq!(guest.lookup(ROOT, n.to_string()).unwrap(), *entry);
    }
    assert!(guest.descriptors_in() < before + LIMIT);
}

#[test]
fn file_that_another_took_the_place_of_is_stale() {
    let mut guest = guest();
    let node = guest.node("0");
    guest.crowd();
    fs::remove_file(guest.path("0")).unwrap();
    fs::write(guest.path("0"), "another").unwrap();
    assert_eq!(guest.links(node), Err(libc::ESTALE));
    assert_eq!(guest.open(node, libc::O_RDONLY), Err(libc::ESTALE));
    let new = guest.node("0");
    assert_ne!(new, node);
    assert_eq!(guest.content(new), "another");
    assert_eq!(guest.links(node), Err(libc::ESTALE));
    // What the old one gives back is not the new one's.
    let request = guest.request(Opcode::Forget as u32, node, &1_u64.to_le_bytes());
    guest.exchange(&request, 0);
    assert_eq!(guest.content(new), "another");
}

#[test]
fn renamed_file_is_found_and_one_that_the_host_renamed_once_it_is_looked_up() {
    let mut guest = guest();
    let (mine, theirs) = (guest.node("0"), guest.node("1"));
    guest.crowd();
    let names = [&ROOT.to_le_bytes()[..], &text("0"), &text("new")].concat();
    guest.ask(Opcode::Rename, ROOT, &names).unwrap();
    assert_eq!(guest.content(mine), "0");
    fs::rename(guest.path("1"), guest.path("other")).unwrap();
    assert_eq!(guest.links(theirs), Err(libc::ESTALE));
    assert_eq!(guest.node("other"), theirs);
    assert_eq!(guest.content(theirs), "1");
}

#[test]
fn exchanged_files_are_found() {
    let mut guest = guest();
    let (one, other) = (guest.node("0"), guest.node("1"));
    guest.crowd();
    let mut body = ROOT.to_le_bytes().to_vec();
    body.extend([libc::RENAME_EXCHANGE, 0].iter().flat_map(|n| n.to_le_bytes()));
    body.extend([text("0"), text("1")].concat());
    guest.ask(Opcode::Rename2, ROOT, &body).unwrap();
    assert_eq!((guest.content(one), guest.content(other)), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn open_file_keeps_its_descriptor() {
    let mut guest = guest();
    let node = guest.node("0");
    let fh = guest.open(node, libc::O_RDONLY).unwrap();
    guest.crowd();
    fs::remove_file(guest.path("0")).unwrap();
    assert_eq!(guest.links(node), Ok(0));
    assert_eq!(guest.read(fh, 0, 10).unwrap(), b"0");
}

#[test]
fn file_without_its_name_keeps_its_descriptor() {
    let mut guest = guest();
    let node = guest.node("0");
    fs::remove_file(guest.path("0")).unwrap();
    guest.crowd();
    assert_eq!(guest.links(node), Ok(0));
}

#[test]
fn closed_file_outlives_a_name_that_the_guest_removes_or_renames_over() {
    let mut guest = guest();
    for (n, link) in [("0", "link"), ("1", "other link")] {
        fs::hard_link(guest.path(n), guest.path(link)).unwrap();
    }
    let (one, other) = (guest.node("0"), guest.node("1"));
    guest.crowd();
    guest.ask(Opcode::Unlink, ROOT, &text("0")).unwrap();
    let names = [&ROOT.to_le_bytes()[..], &text("39"), &text("1")].concat();
    guest.ask(Opcode::Rename, ROOT, &names).unwrap();
    assert_eq!((guest.links(one), guest.links(other)), (Ok(1), Ok(1)));
    assert_eq!((guest.content(one), guest.content(other)), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn folders_keep_their_descriptors_and_room_comes_back() {
    let mut guest = guest();
    for n in 0..LIMIT {
        fs::create_dir(guest.path(&format!("folder{n}"))).unwrap();
    }
    // The root is one of them.
    let nodes: Vec<u64> = (1..LIMIT).map(|n| guest.node(&format!("folder{n}"))).collect();
    assert_eq!(guest.lookup(ROOT, "0"), Err(libc::ENFILE));
    assert_eq!(guest.names(ROOT, 8192, true).len(), 42 + LIMIT, "names are listed all the same");
    let request = guest.request(Opcode::Forget as u32, nodes[0], &2_u64.to_le_bytes());
    guest.exchange(&request, 0);
    assert_eq!(guest.node("0"), guest.node("0"));
}

#[test]
fn listing_counts_a_lookup_of_each_file_that_is_known() {
    let mut guest = guest();
    let node = guest.node("0");
    guest.names(ROOT, 8192, true);
    guest.names(ROOT, 8192, true);
    for expected in [Ok(1), Ok(1), Err(libc::ESTALE)] {
        let request = guest.request(Opcode::Forget as u32, node, &1_u64.to_le_bytes());
        guest.exchange(&request, 0);
        assert_eq!(guest.links(node), expected);
    }
}

#[test]
fn listing_shows_what_a_known_file_is_now() {
    let mut guest = Guest::new();
    fs::write(guest.path("file"), "short").unwrap();
    let node = guest.node("file");
    let sizes = |guest: &mut Guest| {
        let fh = number(&guest.ask(Opcode::Opendir, ROOT, &[0; 8]).unwrap(), 0);
        let mut body = zerocopy::IntoBytes::as_bytes(&[fh, 0]).to_vec();
        body.extend([4096_u32, 0, 0, 0, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
        let bytes = guest.ask(Opcode::Readdirplus, ROOT, &body).unwrap();
        // An entry each: of 128 bytes, a header of 24, and a name of up to 8.
        let entries = bytes.chunks(160).map(|entry| (number(entry, 0), number(entry, 48)));
        entries.filter(|(id, _)| *id == node).map(|(_, size)| size).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&mut guest), [5]);
    fs::write(guest.path("file"), "longer than before").unwrap();
    assert_eq!(sizes(&mut guest), [18]);
    // Another file under the name is another node.
    fs::write(guest.path("new"), "x").unwrap();
    fs::rename(guest.path("new"), guest.path("file")).unwrap();
    assert_eq!(sizes(&mut guest), [0_u64; 0]);
}
