//! Layers that are hostile or damaged.

use std::io::{self, Read};

use super::super::{ImportError, Limits, import};
use super::archive::{Archive, import_with, said};

#[test]
fn path_that_leaves_the_root_is_refused() {
    let error = Archive::new().file("a/../../etc/passwd", b"x").error();
    let path = "\"a/../../etc/passwd\"";
    let reason = format!("the path {path} leads out of the root directory");
    assert_eq!(error, format!("failed to import {path} from the layer: {reason}"));
}

#[test]
fn path_through_a_symbolic_link_is_refused() {
    let error = Archive::new().link(b'2', "a", "/etc").file("a/passwd", b"x").error();
    assert!(error.ends_with("\"a\", through which its path leads, is not a directory"), "{error}");
}

#[test]
fn hard_link_to_what_is_not_in_the_layer_is_refused() {
    let error = Archive::new().link(b'1', "a", "etc/shadow").error();
    assert!(error.ends_with("a hard link to \"etc/shadow\", which is not there"), "{error}");
    let error = Archive::new().link(b'1', "a", "../etc/shadow").error();
    assert!(error.ends_with("\"../etc/shadow\" leads out of the root directory"), "{error}");
    let error = Archive::new().folder("d").link(b'1', "a", "d").error();
    assert!(error.ends_with("a hard link to \"d\", which is a directory"), "{error}");
    let error = Archive::new().file(".wh.x", b"").link(b'1', "a", "x").error();
    assert!(error.ends_with("a hard link to \"x\", which is not there"), "{error}");
}

#[test]
fn whiteout_of_no_name_is_refused() {
    for (path, hidden) in [("d/.wh...", ".."), ("d/.wh..", "."), (".wh.", "")] {
        let error = Archive::new().file(path, b"").error();
        let reason = format!("it is a whiteout of {hidden:?}, which is no name");
        assert!(error.ends_with(&reason), "{error}");
    }
}

#[test]
fn root_that_is_no_directory_is_refused() {
    let error = Archive::new().link(b'2', "./", "/elsewhere").error();
    assert!(error.ends_with("the root directory cannot be anything else"), "{error}");
}

#[test]
fn devices_kinds_and_targets_that_cannot_be_are_refused() {
    let error = Archive::new().device(b'4', "d", 4096, 0).error();
    assert!(error.ends_with("there is no device 4096:0"), "{error}");
    let error = Archive::new().with(b'M', "m", b"", |_| ()).error();
    assert!(error.ends_with("entries of type 'M' are not known"), "{error}");
    let error = Archive::new().link(b'2', "s", "").error();
    assert!(error.ends_with("a symbolic link of 0 bytes, expected 1 to 4095"), "{error}");
    let error = Archive::new().extended(&[("uid", b"4294967296")]).file("f", b"").error();
    assert!(error.ends_with("a user or group id is no number"), "{error}");
}

#[test]
fn tree_deeper_than_the_limit_is_refused() {
    let limits = Limits { depth: 3, ..Limits::default() };
    assert!(import_with(&Archive::new().file("a/b/c", b"").bytes(), &limits).is_ok());
    let error = import_with(&Archive::new().file("a/b/c/d", b"").bytes(), &limits).unwrap_err();
    assert!(said(&error).ends_with("its path has more than 3 names"), "{error}");
    let deep = "d/".repeat(100_000);
    let error = Archive::new().extended(&[("path", deep.as_bytes())]).file("f", b"").error();
    assert!(error.ends_with("its path has more than 512 names"), "{error}");
}

#[test]
fn more_files_than_the_limit_are_refused_directories_in_between_too() {
    let limits = Limits { entries: 4, ..Limits::default() };
    let four = || Archive::new().file("a/b/c", b"").file("x", b"");
    assert_eq!(import_with(&four().bytes(), &limits).unwrap().entries, 4);
    let error = import_with(&four().file("y", b"").bytes(), &limits).unwrap_err();
    assert!(matches!(error, ImportError::TooManyEntries(4)), "{error}");
}

#[test]
fn more_bytes_than_the_limit_are_refused() {
    let archive = Archive::new().file("a", &[1; 10_000]).bytes();
    let limits = Limits { bytes: archive.len() as u64, ..Limits::default() };
    assert!(import_with(&archive, &limits).is_ok());
    let limits = Limits { bytes: archive.len() as u64 - 1, ..limits };
    assert!(matches!(import_with(&archive, &limits), Err(ImportError::TooLarge(_))));
}

#[test]
fn more_names_and_attributes_than_the_limit_are_refused() {
    let limits = Limits { metadata: 1000, ..Limits::default() };
    let value = [b'v'; 1000];
    let records = [("SCHILY.xattr.user.x", &value[..])];
    let archive = Archive::new().extended(&records).file("a", b"").bytes();
    assert!(matches!(import_with(&archive, &limits), Err(ImportError::TooMuchMetadata(1000))));
}

#[test]
fn bomb_is_refused_long_before_it_has_gone_off() {
    // A TiB of zeroes, in some MiB of zstd.
    let zeroes = io::repeat(0).take(1 << 40);
    let bomb = zstd::stream::read::Encoder::new(zeroes, 1).unwrap();
    let head = zstd::encode_all(&Archive::new().file("a", b"").open_end()[..], 1).unwrap();
    let mut out = tempfile::tempfile().unwrap();
    let limits = Limits { ratio: 200, ..Limits::default() };
    let error = import(head.chain(bomb), &mut out, &limits).unwrap_err();
    assert!(matches!(error, ImportError::TooDense(200)), "{error}");
}

#[test]
fn archive_that_ends_within_a_file_is_refused() {
    let whole = Archive::new().file("a", &[1; 5000]).bytes();
    for len in [100, 600, 5000] {
        let error = import_with(&whole[..len], &Limits::default()).unwrap_err();
        assert!(matches!(error, ImportError::Truncated), "{len}: {error}");
    }
}

#[test]
fn archive_without_an_end_is_taken_and_one_of_nothing_too() {
    let archive = Archive::new().file("a", b"x").bytes();
    let imported = import_with(&archive[..1024], &Limits::default()).unwrap();
    assert_eq!((imported.entries, imported.uncompressed_size), (1, 1024));
    assert_eq!(import_with(b"", &Limits::default()).unwrap().entries, 0);
}

#[test]
fn damaged_archives_are_refused() {
    let mut archive = Archive::new().file("a", b"x").bytes();
    archive[0] = b'b';
    let error = import_with(&archive, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "the layer's archive is damaged: a checksum is wrong");
    let error = Archive::new()
        .with(b'0', "a", b"", |header| header[124..136].copy_from_slice(&[0xff; 12]))
        .error();
    assert_eq!(error, "the layer's archive is damaged: a size is no number");
    let error = Archive::new().with(b'x', "p", b"9 path=a\n!", |_| ()).file("a", b"").error();
    assert_eq!(error, "the layer's archive is damaged: an extended header is malformed");
    let error = Archive::new().with(b'L', "l", &vec![b'n'; (1 << 20) + 1], |_| ()).error();
    assert_eq!(error, "the layer's archive is damaged: an extended header is too long");
}

#[test]
fn what_reading_fails_with_is_told_apart_from_damage() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let mut out = tempfile::tempfile().unwrap();
    let gzip = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..];
    let error = import(gzip.chain(Broken), &mut out, &Limits::default()).unwrap_err();
    assert!(matches!(error, ImportError::Read(_)), "{error}");
    let error = import(gzip, &mut out, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "failed to unpack the layer as gzip");
}
