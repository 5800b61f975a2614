//! Requests that break the protocol.

use std::fs;

use zerocopy::IntoBytes;

use super::guest::{Guest, ROOT, text};
use crate::fs::Opcode;
use crate::virtio::fake_driver::{DATA, Part, RAM_SIZE};

/// An answer with this error and nothing else, as the guest's memory has it.
fn error_of(guest: &mut Guest, request: &[u8]) -> i32 {
    assert_eq!(guest.exchange(request, 4096), 16);
    let header = guest.driver.read(DATA + (8 << 20), 16);
    assert_eq!(header[..4], 16_u32.to_le_bytes());
    -i32::from_le_bytes(header[4..8].try_into().unwrap())
}

#[test]
fn length_that_is_not_that_of_the_request_is_refused() {
    let mut guest = Guest::new();
    fs::write(guest.path("file"), "").unwrap();
    for len in [0, 39, 46, 1000, u32::MAX] {
        let mut request = guest.request(Opcode::Lookup as u32, ROOT, &text("file"));
        request[..4].copy_from_slice(&len.to_le_bytes());
        assert_eq!(error_of(&mut guest, &request), libc::EINVAL, "{len}");
    }
    // What lies behind the request is not part of it.
    let mut request = guest.request(Opcode::Lookup as u32, ROOT, &text("file"));
    request.extend_from_slice(b"more");
    assert_ne!(guest.exchange(&request, 4096), 16);
}

#[test]
fn request_shorter_than_its_header_or_without_room_is_dropped_and_counted() {
    let mut guest = Guest::new();
    let request = guest.request(Opcode::Lookup as u32, ROOT, &text("file"));
    assert_eq!(guest.exchange(&request[..39], 4096), 0);
    assert_eq!(guest.exchange(&request, 15), 0);
    assert_eq!(guest.exchange(&request, 0), 0);
    assert_eq!(guest.handler.metrics().malformed.get(), 3);
}

#[test]
fn change_whose_answer_has_no_room_is_not_made() {
    let mut guest = Guest::new();
    let mut body = [0o755_u32, 0].as_bytes().to_vec();
    body.extend_from_slice(&text("folder"));
    let request = guest.request(Opcode::Mkdir as u32, ROOT, &body);
    assert_eq!(guest.exchange(&request, 0), 0);
    assert!(!guest.path("folder").exists());
}

#[test]
fn unknown_operations_are_not_there() {
    let mut guest = Guest::new();
    for opcode in [0, 7, 19, 25, 31, 34, 39, 40, 48, 52, 4096, u32::MAX] {
        let request = guest.request(opcode, ROOT, &[0; 64]);
        assert_eq!(error_of(&mut guest, &request), libc::ENOSYS, "{opcode}");
    }
}

#[test]
fn every_operation_without_arguments_or_with_wild_ones_is_answered() {
    let mut guest = Guest::new();
    for opcode in Opcode::ALL {
        for body in [&[][..], &[0; 7], &[0xff; 200]] {
            for node in [0, ROOT, 2, u64::MAX] {
                let request = guest.request(*opcode as u32, node, body);
                guest.exchange(&request, 4096);
            }
        }
        // DESTROY is among them.
        guest.begin().unwrap();
    }
    guest.create("still-served", 0o644).unwrap();
}

#[test]
fn nodes_and_handles_that_were_never_given_are_refused() {
    let mut guest = Guest::new();
    for node in [0, 2, 77, u64::MAX] {
        assert_eq!(guest.lookup(node, "x"), Err(libc::ESTALE));
        assert_eq!(guest.open(node, libc::O_RDONLY), Err(libc::ESTALE));
    }
    for fh in [0, 1, u64::MAX] {
        assert_eq!(guest.read(fh, 0, 10), Err(libc::EBADF));
        assert_eq!(guest.write(fh, 0, b"x", (0, 0)), Err(libc::EBADF));
        assert_eq!(guest.ask(Opcode::Release, ROOT, [fh, 0, 0].as_bytes()), Err(libc::EBADF));
    }
}

#[test]
fn handle_of_a_folder_is_none_of_a_file_and_the_other_way_round() {
    let mut guest = Guest::new();
    let (entry, file) = guest.create("file", 0o644).unwrap();
    let folder = guest.ask(Opcode::Opendir, ROOT, &[0; 8]).unwrap();
    let folder = u64::from_le_bytes(folder[..8].try_into().unwrap());
    assert_eq!(guest.read(folder, 0, 10), Err(libc::EISDIR));
    let mut body = [file, 0].as_bytes().to_vec();
    body.extend_from_slice([4096_u32, 0, 0, 0, 0, 0].as_bytes());
    assert_eq!(guest.ask(Opcode::Readdir, entry.node, &body), Err(libc::ENOTDIR));
    assert_eq!(guest.read(file, 0, 10).unwrap(), b"");
}

#[test]
fn offsets_beyond_any_file_are_refused() {
    let mut guest = Guest::new();
    let (entry, fh) = guest.create("file", 0o644).unwrap();
    assert_eq!(guest.read(fh, u64::MAX, 10), Err(libc::EINVAL));
    assert_eq!(guest.write(fh, u64::MAX - 3, b"xxxx", (0, 0)), Err(libc::EINVAL));
    assert_eq!(guest.setattr(entry.node, 1 << 3, &[(20, u32::MAX)]), Err(libc::EFBIG));
    let body = [fh, u64::MAX, u64::MAX, 0];
    assert_eq!(guest.ask(Opcode::Fallocate, ROOT, body.as_bytes()), Err(libc::EFBIG));
}

#[test]
fn write_of_more_than_was_sent_or_allowed_is_refused() {
    let mut guest = Guest::new();
    let (_, fh) = guest.create("file", 0o644).unwrap();
    let write = |size: u32| {
        let mut body = [fh, 0].as_bytes().to_vec();
        body.extend_from_slice([size, 0, 0, 0, 0, 0].as_bytes());
        body.extend_from_slice(b"four");
        body
    };
    assert_eq!(guest.ask(Opcode::Write, ROOT, &write(5)), Err(libc::EINVAL));
    assert_eq!(guest.ask(Opcode::Write, ROOT, &write(u32::MAX)), Err(libc::EINVAL));
    guest.ask(Opcode::Write, ROOT, &write(2)).unwrap();
    assert_eq!(fs::read(guest.path("file")).unwrap(), b"fo");
}

#[test]
fn data_buffer_outside_memory_fails_the_request_only() {
    let mut guest = Guest::new();
    let (_, fh) = guest.create("file", 0o644).unwrap();
    guest.write(fh, 0, b"content", (0, 0)).unwrap();
    let mut body = [fh, 0].as_bytes().to_vec();
    body.extend_from_slice([4096_u32, 0, 0, 0, 0, 0].as_bytes());
    let request = guest.request(Opcode::Read as u32, ROOT, &body);
    guest.driver.write(DATA, &request);
    let answer = DATA + (8 << 20);
    guest.driver.add(&[
        Part::Read(DATA, request.len() as u32),
        Part::Write(answer, 16),
        Part::Write(RAM_SIZE as u64 - 8, 4096),
    ]);
    guest.driver.kick.write(1).unwrap();
    guest.cx.turn(&mut guest.handler, 0).unwrap();
    assert_eq!(guest.driver.used().len(), 1);
    let error = i32::from_le_bytes(guest.driver.read(answer + 4, 4).try_into().unwrap());
    assert_eq!(-error, libc::EFAULT);
    assert_eq!(guest.read(fh, 0, 10).unwrap(), b"content");
}

#[test]
fn requests_before_the_session_or_of_an_unknown_version_are_refused() {
    let mut guest = Guest::new();
    guest.ask(Opcode::Destroy, 0, &[]).unwrap();
    assert_eq!(guest.lookup(ROOT, "x"), Err(libc::EIO));
    for version in [[6, 99], [7, 30]] {
        let body = [version[0], version[1], 0, 0_u32];
        assert_eq!(guest.ask(Opcode::Init, 0, body.as_bytes()), Err(libc::EPROTO));
    }
    let newer = guest.ask(Opcode::Init, 0, [8, 0, 0, 0_u32].as_bytes()).unwrap();
    assert_eq!(newer[..4], 7_u32.to_le_bytes());
    assert_eq!(guest.lookup(ROOT, "x"), Err(libc::EIO));
    guest.begin().unwrap();
    assert_eq!(guest.lookup(ROOT, "x"), Err(libc::ENOENT));
}

#[test]
fn end_of_a_session_closes_all_that_it_had() {
    let mut guest = Guest::new();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for n in 0..20 {
        guest.create(&n.to_string(), 0o644).unwrap();
    }
    assert_eq!(descriptors(), before + 40);
    guest.ask(Opcode::Destroy, 0, &[]).unwrap();
    guest.begin().unwrap();
    assert_eq!(descriptors(), before);
}
