use std::io::Write;

use super::*;
use crate::memory::{AddressSpace, Backing, Pages, allocate};

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn problem(bytes: &[u8]) -> Problem {
    Image::new(file(bytes), Path::new("/k")).unwrap_err().problem
}

#[test]
fn text_is_neither_elf_nor_bzimage_and_the_error_names_the_file() {
    let error = Image::new(file(&[b'x'; 4096]), Path::new("/boot/readme")).unwrap_err();
    assert_eq!(error.to_string(), "Kernel /boot/readme cannot be booted");
    assert!(matches!(error.problem, Problem::UnknownFormat));
}

#[test]
fn empty_and_tiny_files_are_of_unknown_format() {
    assert!(matches!(problem(b""), Problem::UnknownFormat));
    assert!(matches!(problem(b"\x7fEL"), Problem::UnknownFormat));
}

#[test]
fn folders_are_refused() {
    let folder = File::open("/").unwrap();
    let error = Image::new(folder, Path::new("/")).unwrap_err();
    assert!(matches!(error.problem, Problem::NotAFile));
}

#[test]
fn magic_numbers_decide_the_format() {
    let mut bzimage = vec![0; 0x206];
    bzimage[0x202..].copy_from_slice(b"HdrS");
    assert_eq!(Image::new(file(&bzimage), Path::new("k")).unwrap().format, Format::BzImage);
    assert_eq!(Image::new(file(b"\x7fELF"), Path::new("k")).unwrap().format, Format::Elf);
}

/// Bytes that tell where in the file they come from.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i / 256 % 251).unwrap()).collect()
}

fn placed(offset: u64, address: u64, size: usize) -> Vec<u8> {
    let space = AddressSpace::new(32 << 20, 46).unwrap();
    let memory = allocate(&space, Backing::Anonymous, Pages::Normal).unwrap();
    let file = file(&pattern(64 << 10));
    place(&file, offset, &memory, GuestAddress(address), size as u64).unwrap();
    let mut bytes = vec![0; size + 1];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    assert_eq!(bytes.pop(), Some(0), "the byte behind the segment stays zero");
    bytes
}

#[test]
fn segments_of_whole_pages_hold_the_files_bytes() {
    let expected = &pattern(64 << 10)[0x1000..][..0x5000];
    assert_eq!(placed(0x1000, 0x10_0000, 0x5000), expected);
}

#[test]
fn segments_that_do_not_line_up_with_the_file_hold_its_bytes() {
    let expected = &pattern(64 << 10)[0x1800..][..0x5400];
    assert_eq!(placed(0x1800, 0x10_0200, 0x5400), expected);
}
