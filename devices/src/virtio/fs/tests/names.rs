//! Names, links and folders.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

use zerocopy::IntoBytes;

use super::guest::{Guest, ROOT, number, text};
use crate::fs::{Cache, Opcode, ShareOptions};

fn mkdir(guest: &mut Guest, folder: u64, name: &str) -> Result<u64, i32> {
    let mut body = [0o755_u32, 0].as_bytes().to_vec();
    body.extend_from_slice(&text(name));
    guest.ask(Opcode::Mkdir, folder, &body).map(|bytes| number(&bytes, 0))
}

fn rename(guest: &mut Guest, from: &str, to: &str, flags: u32) -> Result<(), i32> {
    let mut body = ROOT.to_le_bytes().to_vec();
    body.extend_from_slice([flags, 0].as_bytes());
    body.extend_from_slice(&text(from));
    body.extend_from_slice(&text(to));
    guest.ask(Opcode::Rename2, ROOT, &body).map(|_| ())
}

#[test]
fn tree_is_made_walked_and_removed() {
    let mut guest = Guest::new();
    let a = mkdir(&mut guest, ROOT, "a").unwrap();
    let b = mkdir(&mut guest, a, "b").unwrap();
    assert_eq!(guest.lookup(a, "b").unwrap().node, b);
    assert_eq!(mkdir(&mut guest, a, "b"), Err(libc::EEXIST));
    assert_eq!(guest.ask(Opcode::Rmdir, ROOT, &text("a")), Err(libc::ENOTEMPTY));
    assert_eq!(guest.ask(Opcode::Unlink, a, &text("b")), Err(libc::EISDIR));
    guest.ask(Opcode::Rmdir, a, &text("b")).unwrap();
    guest.ask(Opcode::Rmdir, ROOT, &text("a")).unwrap();
    assert_eq!(guest.lookup(ROOT, "a"), Err(libc::ENOENT));
}

#[test]
fn same_file_under_two_names_is_one_node() {
    let mut guest = Guest::new();
    let (one, _) = guest.create("one", 0o644).unwrap();
    let mut body = one.node.to_le_bytes().to_vec();
    body.extend_from_slice(&text("two"));
    guest.ask(Opcode::Link, ROOT, &body).unwrap();
    let two = guest.lookup(ROOT, "two").unwrap();
    assert_eq!((two.node, two.ino, two.links), (one.node, one.ino, 2));
    assert_eq!(fs::metadata(guest.path("two")).unwrap().ino(), one.ino);
}

#[test]
fn node_is_forgotten_when_all_its_lookups_are_given_back() {
    let mut guest = Guest::new();
    fs::write(guest.path("file"), "").unwrap();
    let node = guest.node("file");
    assert_eq!(guest.node("file"), node);
    let forget = |guest: &mut Guest, count: u64| {
        let request = guest.request(Opcode::Forget as u32, node, &count.to_le_bytes());
        assert_eq!(guest.exchange(&request, 0), 0, "there is no answer");
    };
    forget(&mut guest, 1);
    guest.ask(Opcode::Getattr, node, &[0; 16]).unwrap();
    forget(&mut guest, 1);
    assert_eq!(guest.ask(Opcode::Getattr, node, &[0; 16]), Err(libc::ESTALE));
    assert_ne!(guest.node("file"), node, "a number is not used again");
}

#[test]
fn several_nodes_are_forgotten_at_once_and_the_root_never() {
    let mut guest = Guest::new();
    fs::write(guest.path("file"), "").unwrap();
    let node = guest.node("file");
    let mut body = [3_u32, 0].as_bytes().to_vec();
    body.extend_from_slice([node, 1, ROOT, u64::MAX, 999, 1].as_bytes());
    let request = guest.request(Opcode::BatchForget as u32, 0, &body);
    assert_eq!(guest.exchange(&request, 0), 0);
    assert_eq!(guest.ask(Opcode::Getattr, node, &[0; 16]), Err(libc::ESTALE));
    guest.ask(Opcode::Getattr, ROOT, &[0; 16]).unwrap();
}

#[test]
fn rename_replaces_exchanges_or_refuses() {
    let mut guest = Guest::new();
    fs::write(guest.path("a"), "a").unwrap();
    fs::write(guest.path("b"), "b").unwrap();
    assert_eq!(rename(&mut guest, "a", "b", libc::RENAME_NOREPLACE), Err(libc::EEXIST));
    rename(&mut guest, "a", "b", libc::RENAME_EXCHANGE).unwrap();
    assert_eq!(fs::read(guest.path("a")).unwrap(), b"b");
    rename(&mut guest, "a", "b", 0).unwrap();
    assert_eq!(fs::read(guest.path("b")).unwrap(), b"b");
    assert!(!guest.path("a").exists());
    // It would leave a device node behind.
    assert_eq!(rename(&mut guest, "b", "c", libc::RENAME_WHITEOUT), Err(libc::EINVAL));
}

#[test]
fn symbolic_link_is_made_and_read_and_not_followed() {
    let mut guest = Guest::new();
    let mut body = text("link");
    body.extend_from_slice(&text("/etc/passwd"));
    let bytes = guest.ask(Opcode::Symlink, ROOT, &body).unwrap();
    let node = number(&bytes, 0);
    assert_eq!(guest.ask(Opcode::Readlink, node, &[]).unwrap(), b"/etc/passwd");
    assert_eq!(fs::read_link(guest.path("link")).unwrap().to_str(), Some("/etc/passwd"));
    assert_eq!(guest.lookup(ROOT, "link").unwrap().mode & libc::S_IFMT, libc::S_IFLNK);
    assert_eq!(guest.open(node, libc::O_RDONLY), Err(libc::EACCES));
}

#[test]
fn folder_is_listed_whole_in_small_and_large_answers() {
    let mut guest = Guest::new();
    let mut expected = vec![".".to_owned(), "..".to_owned()];
    for n in 0..300 {
        fs::write(guest.path(&format!("file-{n}")), "").unwrap();
        expected.push(format!("file-{n}"));
    }
    expected.sort();
    assert_eq!(guest.names(ROOT, 64, false), expected);
    assert_eq!(guest.names(ROOT, 4096, false), expected);
    assert_eq!(guest.names(ROOT, 200, true), expected);
    assert_eq!(guest.names(ROOT, 32768, true), expected);
}

#[test]
fn answer_too_small_for_one_entry_is_an_error_and_no_end() {
    let mut guest = Guest::new();
    let fh = number(&guest.ask(Opcode::Opendir, ROOT, &[0; 8]).unwrap(), 0);
    let mut body = [fh, 0].as_bytes().to_vec();
    body.extend_from_slice([16_u32, 0, 0, 0, 0, 0].as_bytes());
    let answer = guest.ask_with_room(Opcode::Readdir, ROOT, &body, 1000);
    assert_eq!(answer, Err(libc::EINVAL));
}

#[test]
fn named_pipes_and_sockets_are_made_and_devices_are_not() {
    let mut guest = Guest::new();
    let mknod = |guest: &mut Guest, name: &str, mode: u32| {
        let mut body = [mode, 0x103, 0, 0].as_bytes().to_vec();
        body.extend_from_slice(&text(name));
        guest.ask(Opcode::Mknod, ROOT, &body).map(|bytes| number(&bytes, 0))
    };
    let pipe = mknod(&mut guest, "pipe", libc::S_IFIFO | 0o600).unwrap();
    mknod(&mut guest, "socket", libc::S_IFSOCK | 0o600).unwrap();
    assert!(fs::metadata(guest.path("pipe")).unwrap().file_type().is_fifo());
    assert!(fs::metadata(guest.path("socket")).unwrap().file_type().is_socket());
    // It would wait for the other end.
    assert_eq!(guest.open(pipe, libc::O_RDONLY), Err(libc::EACCES));
    assert_eq!(mknod(&mut guest, "null", libc::S_IFCHR | 0o666), Err(libc::EPERM));
    assert_eq!(mknod(&mut guest, "disk", libc::S_IFBLK | 0o666), Err(libc::EPERM));
}

#[test]
fn single_file_is_alone_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "no").unwrap();
    fs::write(folder.path().join("config"), "yes").unwrap();
    let path = folder.path().join("config");
    let mut guest = Guest::over(folder, &path, ShareOptions::default());
    assert_eq!(guest.names(ROOT, 4096, false), [".", "..", "config"]);
    assert_eq!(guest.names(ROOT, 4096, true), [".", "..", "config"]);
    assert_eq!(guest.lookup(ROOT, "secret"), Err(libc::ENOENT));
    let node = guest.node("config");
    let fh = guest.open(node, libc::O_RDWR).unwrap();
    assert_eq!(guest.read(fh, 0, 10).unwrap(), b"yes");
    guest.write(fh, 0, b"YES", (0, 0)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"YES");
    assert_eq!(guest.create("new", 0o644), Err(libc::EPERM));
    assert_eq!(guest.ask(Opcode::Unlink, ROOT, &text("config")), Err(libc::EPERM));
    assert_eq!(guest.owner(ROOT).0, libc::S_IFDIR | 0o555);
    guest.ask(Opcode::Statfs, ROOT, &[]).unwrap();
}

#[test]
fn guest_may_remember_that_nothing_is_there_where_nobody_else_makes_it() {
    let mut guest = Guest::with(ShareOptions { read_only: false, cache: Cache::Always });
    let entry = guest.lookup(ROOT, "nothing").unwrap();
    assert_eq!(entry.node, 0);
}

#[test]
fn extended_attributes_are_kept_and_those_of_the_host_hidden() {
    let mut guest = Guest::new();
    let (entry, _) = guest.create("file", 0o644).unwrap();
    let set = |guest: &mut Guest, name: &str, value: &[u8]| {
        let mut body = [value.len() as u32, 0].as_bytes().to_vec();
        body.extend_from_slice(&text(name));
        body.extend_from_slice(value);
        guest.ask(Opcode::Setxattr, entry.node, &body).map(|_| ())
    };
    let get = |guest: &mut Guest, name: &str, size: u32| {
        let mut body = [size, 0].as_bytes().to_vec();
        body.extend_from_slice(&text(name));
        guest.ask(Opcode::Getxattr, entry.node, &body)
    };
    if set(&mut guest, "user.color", b"blue") == Err(libc::EOPNOTSUPP) {
        return; // The host's temporary folder has none.
    }
    assert_eq!(get(&mut guest, "user.color", 100).unwrap(), b"blue");
    assert_eq!(get(&mut guest, "user.color", 0).unwrap(), [4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(get(&mut guest, "user.color", 2), Err(libc::ERANGE));
    assert_eq!(set(&mut guest, "security.capability", b"x"), Err(libc::EOPNOTSUPP));
    assert_eq!(set(&mut guest, "user.bulkhead.owner", b"0:0:0"), Err(libc::EOPNOTSUPP));
    set(&mut guest, "trusted.overlay.opaque", b"y").unwrap();
    assert_eq!(get(&mut guest, "trusted.overlay.opaque", 10).unwrap(), b"y");
    let list = guest.ask(Opcode::Listxattr, entry.node, [1000_u32, 0].as_bytes()).unwrap();
    let list = String::from_utf8(list).unwrap();
    let mut names: Vec<_> = list.split_terminator('\0').collect();
    names.sort_unstable();
    assert_eq!(names, ["trusted.overlay.opaque", "user.color"]);
    guest.ask(Opcode::Removexattr, entry.node, &text("user.color")).unwrap();
    assert_eq!(get(&mut guest, "user.color", 100), Err(libc::ENODATA));
}

#[test]
fn folder_moved_by_the_host_is_still_the_same_node() {
    let mut guest = Guest::new();
    fs::create_dir(guest.path("old")).unwrap();
    fs::write(guest.path("old/file"), "").unwrap();
    let node = guest.node("old");
    fs::rename(guest.path("old"), guest.path("new")).unwrap();
    symlink("/etc", guest.path("old")).unwrap();
    guest.lookup(node, "file").unwrap();
    assert_eq!(guest.lookup(node, "passwd"), Err(libc::ENOENT));
}
