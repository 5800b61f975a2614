use std::io::Write;
use std::path::Path;

use vm_memory::Bytes;

use super::*;
use crate::memory::{AddressSpace, Backing, Pages, allocate};

const SETUP_SECTORS: u8 = 2;
const CODE: usize = 0x2000;

fn good() -> setup_header {
    setup_header {
        setup_sects: SETUP_SECTORS,
        syssize: u32::try_from(CODE / 16).unwrap(),
        boot_flag: 0xaa55,
        jump: 0x6aeb,
        header: 0x5372_6448,
        version: 0x20f,
        loadflags: 1,
        xloadflags: 1,
        pref_address: 0x100_0000,
        init_size: 0x10_0000,
        cmdline_size: 2047,
        initrd_addr_max: 0x7fff_ffff,
        ..setup_header::default()
    }
}

fn try_load(header: setup_header, length: usize) -> Result<(Loaded, GuestRam), Problem> {
    let start = (usize::from(SETUP_SECTORS) + 1) * 512;
    let mut bytes = vec![0; start + CODE];
    bytes[0x1f1..][..size_of::<setup_header>()].copy_from_slice(header.as_slice());
    bytes[start..].fill(0x90);
    bytes.truncate(length);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let image = Image::new(file, Path::new("vmlinuz")).unwrap();
    let space = AddressSpace::new(32 << 20, 46).unwrap();
    let memory = allocate(&space, Backing::Anonymous, Pages::Normal).unwrap();
    load(&image, &memory).map(|loaded| (loaded, memory))
}

fn problem(header: setup_header) -> Problem {
    try_load(header, usize::MAX).map(|_| ()).unwrap_err()
}

#[test]
fn it_is_loaded_at_its_preferred_address_and_entered_behind_its_32_bit_code() {
    let (loaded, memory) = try_load(good(), usize::MAX).unwrap();
    let address = GuestAddress(0x100_0200);
    assert_eq!(loaded.entry, Entry { protocol: Protocol::Linux64, address });
    assert_eq!(loaded.end, GuestAddress(0x110_0000));
    let last = GuestAddress(0x100_0000 + CODE as u64 - 1);
    assert_eq!(memory.read_obj::<u8>(last).unwrap(), 0x90);
}

#[test]
fn the_header_is_handed_on_with_a_loader_type() {
    let (loaded, _) = try_load(good(), usize::MAX).unwrap();
    assert_eq!(loaded.header.type_of_loader, 0xff);
    assert_eq!({ loaded.header.init_size }, 0x10_0000);
}

#[test]
fn fields_behind_the_headers_end_are_not_handed_on() {
    // The jump says that the header ends before `init_size` (offset 0x260).
    let header = setup_header { jump: 0x5eeb, ..good() };
    let (loaded, _) = try_load(header, usize::MAX).unwrap();
    assert_eq!({ loaded.header.pref_address }, 0x100_0000);
    assert_eq!({ loaded.header.init_size }, 0);
}

#[test]
fn a_file_cut_in_its_code_is_truncated() {
    let Err(Problem::Truncated { what, .. }) = try_load(good(), 0x1000).map(|_| ()) else {
        panic!()
    };
    assert_eq!(what, "the protected-mode part");
}

#[test]
fn a_file_cut_in_its_header_is_truncated() {
    let Err(Problem::Truncated { what, .. }) = try_load(good(), 0x210).map(|_| ()) else {
        panic!()
    };
    assert_eq!(what, "the setup header");
}

#[test]
fn an_old_protocol_is_refused_with_its_version() {
    let error = problem(setup_header { version: 0x0206, ..good() });
    assert_eq!(error.to_string(), "its boot protocol 2.06 is older than 2.12");
}

#[test]
fn kernels_without_a_64_bit_entry_are_refused() {
    let error = problem(setup_header { xloadflags: 0, ..good() });
    assert!(matches!(error, Problem::WrongMachine("no 64-bit entry")));
}

#[test]
fn kernels_that_load_low_are_refused() {
    let error = problem(setup_header { loadflags: 0, ..good() });
    assert!(matches!(error, Problem::WrongMachine(_)));
}

#[test]
fn an_address_beyond_memory_or_wrapping_is_refused() {
    let outside = |header| matches!(problem(header), Problem::OutsideMemory { .. });
    assert!(outside(setup_header { pref_address: 0x200_0000, ..good() }));
    assert!(outside(setup_header { pref_address: u64::MAX - 0x100, ..good() }));
    assert!(outside(setup_header { init_size: u32::MAX, ..good() }));
    assert!(outside(setup_header { pref_address: 0x7000, ..good() }));
}

#[test]
fn an_empty_or_tiny_code_part_is_refused() {
    assert!(matches!(problem(setup_header { syssize: 0, ..good() }), Problem::Header(_)));
    assert!(matches!(problem(setup_header { syssize: 0x20, ..good() }), Problem::Header(_)));
}

#[test]
fn a_wrong_boot_flag_is_refused() {
    assert!(matches!(problem(setup_header { boot_flag: 0, ..good() }), Problem::Header(_)));
}
