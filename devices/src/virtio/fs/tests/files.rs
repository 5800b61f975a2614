//! Content of files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use zerocopy::IntoBytes;

use super::guest::{Guest, ROOT, number, text};
use crate::fs::{Cache, Opcode, ShareOptions};

const O_RDONLY: i32 = libc::O_RDONLY;
const O_RDWR: i32 = libc::O_RDWR;

#[test]
fn what_is_written_is_in_the_hosts_file_and_read_back() {
    let mut guest = Guest::new();
    let (_, fh) = guest.create("file", 0o644).unwrap();
    assert_eq!(guest.write(fh, 3, b"abcdef", (0, 0)), Ok(6));
    assert_eq!(fs::read(guest.path("file")).unwrap(), b"\0\0\0abcdef");
    assert_eq!(guest.read(fh, 4, 100).unwrap(), b"bcdef");
    assert_eq!(guest.read(fh, 100, 100).unwrap(), b"");
    assert_eq!(guest.handler.metrics().written_bytes.get(), 6);
    assert_eq!(guest.handler.metrics().read_bytes.get(), 5);
}

#[test]
fn large_file_goes_through_whole() {
    let mut guest = Guest::new();
    let content: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let (_, fh) = guest.create("file", 0o644).unwrap();
    assert_eq!(guest.write(fh, 0, &content, (0, 0)), Ok(1 << 20));
    assert!(fs::read(guest.path("file")).unwrap() == content);
    assert!(guest.read(fh, 0, 1 << 20).unwrap() == content);
}

#[test]
fn append_goes_to_the_end_that_others_have_moved_but_cached_pages_do_not() {
    let mut guest = Guest::new();
    let (_, fh) = guest.create("log", 0o644).unwrap();
    fs::write(guest.path("log"), "others\n").unwrap();
    guest.write(fh, 0, b"mine\n", (0, libc::O_APPEND)).unwrap();
    assert_eq!(fs::read(guest.path("log")).unwrap(), b"others\nmine\n");
    let from_cache = 1;
    guest.write(fh, 0, b"OTHERS", (from_cache, libc::O_APPEND)).unwrap();
    assert_eq!(fs::read(guest.path("log")).unwrap(), b"OTHERS\nmine\n");
}

#[test]
fn read_only_share_refuses_every_change_and_serves_reads() {
    let mut guest = Guest::read_only();
    fs::write(guest.path("file"), "content").unwrap();
    let node = guest.node("file");
    assert_eq!(guest.open(node, O_RDWR), Err(libc::EROFS));
    assert_eq!(guest.open(node, O_RDONLY | libc::O_TRUNC), Err(libc::EROFS));
    let fh = guest.open(node, O_RDONLY).unwrap();
    assert_eq!(guest.read(fh, 0, 10).unwrap(), b"content");
    assert_eq!(guest.write(fh, 0, b"x", (0, 0)), Err(libc::EROFS));
    assert_eq!(guest.create("new", 0o644), Err(libc::EROFS));
    for opcode in [
        Opcode::Setattr,
        Opcode::Symlink,
        Opcode::Mknod,
        Opcode::Mkdir,
        Opcode::Unlink,
        Opcode::Rmdir,
        Opcode::Rename,
        Opcode::Rename2,
        Opcode::Link,
        Opcode::Setxattr,
        Opcode::Removexattr,
        Opcode::Tmpfile,
        Opcode::Fallocate,
        Opcode::CopyFileRange,
    ] {
        assert_eq!(guest.ask(opcode, node, &[0; 128]), Err(libc::EROFS), "{opcode:?}");
    }
    assert_eq!(fs::read(guest.path("file")).unwrap(), b"content");
}

#[test]
fn truncating_on_opening_and_by_size_change_the_length() {
    let mut guest = Guest::new();
    fs::write(guest.path("file"), "content").unwrap();
    let node = guest.node("file");
    let size = 1 << 3;
    guest.setattr(node, size, &[(16, 3)]).unwrap();
    assert_eq!(fs::read(guest.path("file")).unwrap(), b"con");
    guest.open(node, O_RDWR | libc::O_TRUNC).unwrap();
    assert_eq!(fs::metadata(guest.path("file")).unwrap().len(), 0);
}

#[test]
fn holes_are_found_and_made() {
    let mut guest = Guest::new();
    let (_, fh) = guest.create("file", 0o644).unwrap();
    guest.write(fh, 1 << 20, &[1; 4096], (0, 0)).unwrap();
    let seek = |from: u64, whence: i32| {
        let mut body = [fh, from].as_bytes().to_vec();
        body.extend_from_slice([whence.cast_unsigned(), 0].as_bytes());
        body
    };
    let found = guest.ask(Opcode::Lseek, ROOT, &seek(0, libc::SEEK_DATA)).unwrap();
    assert_eq!(number(&found, 0), 1 << 20);
    let end = guest.ask(Opcode::Lseek, ROOT, &seek(0, libc::SEEK_END));
    assert_eq!(end, Err(libc::EINVAL));
    let mut body = [fh, 1 << 20, 4096].as_bytes().to_vec();
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    body.extend_from_slice([punch.cast_unsigned(), 0].as_bytes());
    guest.ask(Opcode::Fallocate, ROOT, &body).unwrap();
    let found = guest.ask(Opcode::Lseek, ROOT, &seek(0, libc::SEEK_DATA));
    assert_eq!(found, Err(libc::ENXIO));
}

#[test]
fn range_is_copied_between_files_by_the_host() {
    let mut guest = Guest::new();
    let (_, from) = guest.create("from", 0o644).unwrap();
    let (to_entry, to) = guest.create("to", 0o644).unwrap();
    guest.write(from, 0, b"0123456789", (0, 0)).unwrap();
    let body = [from, 2, to_entry.node, to, 1, 5, 0];
    let copied = guest.ask(Opcode::CopyFileRange, ROOT, body.as_bytes()).unwrap();
    assert_eq!(number(&copied, 0), 5);
    assert_eq!(fs::read(guest.path("to")).unwrap(), b"\x0023456");
}

#[test]
fn write_by_another_user_takes_the_set_user_id_bit_away() {
    let mut guest = Guest::new();
    let (entry, fh) = guest.create("program", 0o755).unwrap();
    guest.setattr(entry.node, 1, &[(68, 0o6755)]).unwrap();
    guest.write(fh, 0, b"root's", (0, 0)).unwrap();
    assert_eq!(guest.owner(entry.node).0 & 0o7777, 0o6755);
    let kill_suidgid = 1 << 2;
    guest.write(fh, 0, b"theirs", (kill_suidgid, 0)).unwrap();
    assert_eq!(guest.owner(entry.node).0 & 0o7777, 0o755);
}

#[test]
fn file_without_a_name_can_be_given_one() {
    let mut guest = Guest::new();
    let mut body = [O_RDWR.cast_unsigned(), 0o600, 0, 0].as_bytes().to_vec();
    body.extend_from_slice(&text("x"));
    let bytes = guest.ask(Opcode::Tmpfile, ROOT, &body).unwrap();
    let (node, fh) = (number(&bytes, 0), number(&bytes, 128));
    guest.write(fh, 0, b"now", (0, 0)).unwrap();
    assert_eq!(fs::read_dir(guest.path("")).unwrap().count(), 0);
    let mut link = node.to_le_bytes().to_vec();
    link.extend_from_slice(&text("named"));
    guest.ask(Opcode::Link, ROOT, &link).unwrap();
    assert_eq!(fs::read(guest.path("named")).unwrap(), b"now");
}

#[test]
fn file_that_is_removed_while_open_is_still_read() {
    let mut guest = Guest::new();
    fs::write(guest.path("file"), "content").unwrap();
    let node = guest.node("file");
    let fh = guest.open(node, O_RDONLY).unwrap();
    guest.ask(Opcode::Unlink, ROOT, &text("file")).unwrap();
    assert_eq!(guest.read(fh, 0, 10).unwrap(), b"content");
    guest.ask(Opcode::Getattr, node, &[0; 16]).unwrap();
    guest.ask(Opcode::Release, node, [fh, 0, 0].as_bytes()).unwrap();
    assert_eq!(guest.read(fh, 0, 10), Err(libc::EBADF));
}

#[test]
fn what_the_guest_may_keep_is_as_was_set() {
    // What was opened, and for how long entries are valid: seconds, nanoseconds.
    let kept = |cache| {
        let mut guest = Guest::with(ShareOptions { read_only: false, cache });
        fs::write(guest.path("file"), "").unwrap();
        let entry = guest.ask(Opcode::Lookup, ROOT, &text("file")).unwrap();
        let body = [0_u32, 0];
        let opened = guest.ask(Opcode::Open, number(&entry, 0), body.as_bytes()).unwrap();
        (number(&opened, 8), number(&entry, 16), number(&entry, 32) as u32)
    };
    let (direct_io, keep_cache) = (1 << 0, 1 << 1);
    assert_eq!(kept(Cache::None), (direct_io, 0, 0));
    assert_eq!(kept(Cache::Auto), (0, 0, 100_000_000));
    assert_eq!(kept(Cache::Always), (keep_cache, 86400, 0));
}

#[test]
fn modes_are_what_the_guest_says_whatever_the_umask() {
    let mut guest = Guest::new();
    guest.create("file", 0o666).unwrap();
    let mut body = [0o777_u32, 0].as_bytes().to_vec();
    body.extend_from_slice(&text("folder"));
    guest.ask(Opcode::Mkdir, ROOT, &body).unwrap();
    let mode = |name| fs::metadata(guest.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("file"), mode("folder")), (0o666, 0o777));
}
