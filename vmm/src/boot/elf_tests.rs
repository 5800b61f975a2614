use std::fs::File;
use std::io::Write;
use std::path::Path;

use vm_memory::Bytes;

use super::*;
use crate::boot::pvh_note::tests::note;
use crate::memory::{AddressSpace, Backing, Pages, allocate};

/// A small ELF kernel; tests spoil single fields of it.
struct Crafted {
    header: Elf64_Ehdr,
    segments: Vec<Elf64_Phdr>,
    notes: Vec<u8>,
    length: usize,
}

const NOTES_AT: usize = 0x800;
const CODE_AT: usize = 0x1000;

impl Crafted {
    fn new() -> Self {
        let mut header = Elf64_Ehdr::default();
        header.e_ident[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header.e_machine = EM_X86_64;
        header.e_phentsize = 56;
        header.e_phoff = 64;
        header.e_entry = 0x10_0040;
        let code = Elf64_Phdr {
            p_type: PT_LOAD,
            p_offset: CODE_AT as u64,
            p_paddr: 0x10_0000,
            p_filesz: 0x2100,
            p_memsz: 0x8000,
            ..Elf64_Phdr::default()
        };
        Self { header, segments: vec![code], notes: Vec::new(), length: CODE_AT + 0x2100 }
    }

    fn with_pvh(mut self, entry: u32) -> Self {
        self.notes = note(b"Xen\0", 18, &entry.to_le_bytes());
        self.segments.push(Elf64_Phdr {
            p_type: PT_NOTE,
            p_offset: NOTES_AT as u64,
            p_filesz: self.notes.len() as u64,
            p_align: 4,
            ..Elf64_Phdr::default()
        });
        self
    }

    fn image(&self) -> Image {
        let mut header = self.header;
        if header.e_phnum == 0 {
            header.e_phnum = u16::try_from(self.segments.len()).unwrap();
        }
        let mut bytes = vec![0x90; CODE_AT + 0x2100];
        bytes[..64].copy_from_slice(header.as_slice());
        for (index, segment) in self.segments.iter().enumerate() {
            bytes[64 + index * 56..][..56].copy_from_slice(segment.as_slice());
        }
        bytes[NOTES_AT..][..self.notes.len()].copy_from_slice(&self.notes);
        bytes.truncate(self.length);
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        Image::new(file, Path::new("vmlinux")).unwrap()
    }

    fn load(&self) -> Result<Loaded, Problem> {
        load(&self.image(), &memory())
    }
}

fn memory() -> GuestRam {
    let space = AddressSpace::new(32 << 20, 46).unwrap();
    allocate(&space, Backing::Anonymous, Pages::Normal).unwrap()
}

#[test]
fn without_a_note_the_64_bit_entry_is_used() {
    let loaded = Crafted::new().load().unwrap();
    let address = GuestAddress(0x10_0040);
    assert_eq!(loaded.entry, Entry { protocol: Protocol::Linux64, address });
    assert_eq!(loaded.end, GuestAddress(0x10_8000));
}

#[test]
fn with_a_note_the_pvh_entry_is_used() {
    let loaded = Crafted::new().with_pvh(0x10_0080).load().unwrap();
    let address = GuestAddress(0x10_0080);
    assert_eq!(loaded.entry, Entry { protocol: Protocol::Pvh, address });
}

#[test]
fn the_file_part_is_in_memory_and_the_rest_is_zero() {
    let memory = memory();
    load(&Crafted::new().image(), &memory).unwrap();
    assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_0000)).unwrap(), 0x90);
    assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_20ff)).unwrap(), 0x90);
    assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_2100)).unwrap(), 0);
}

#[test]
fn a_file_cut_inside_its_header_is_truncated() {
    let crafted = Crafted { length: 40, ..Crafted::new() };
    let Err(Problem::Truncated { what, end, length }) = crafted.load() else { panic!() };
    assert_eq!((what, end, length), ("the ELF header", 64, 40));
}

#[test]
fn a_file_cut_inside_its_program_headers_is_truncated() {
    let crafted = Crafted { length: 100, ..Crafted::new() };
    let Err(Problem::Truncated { what, .. }) = crafted.load() else { panic!() };
    assert_eq!(what, "the program headers");
}

#[test]
fn a_file_cut_inside_a_segment_is_truncated() {
    let crafted = Crafted { length: CODE_AT + 0x20ff, ..Crafted::new() };
    let Err(Problem::Truncated { what, .. }) = crafted.load() else { panic!() };
    assert_eq!(what, "a loadable segment");
}

#[test]
fn a_segment_offset_that_wraps_is_refused() {
    let mut crafted = Crafted::new();
    crafted.segments[0].p_offset = u64::MAX - 1;
    assert!(matches!(crafted.load(), Err(Problem::Header("an offset wraps"))));
}

#[test]
fn a_segment_address_that_wraps_is_refused() {
    let mut crafted = Crafted::new();
    crafted.segments[0].p_paddr = u64::MAX - 0x1000;
    assert!(matches!(crafted.load(), Err(Problem::Header("a segment's address wraps"))));
}

#[test]
fn a_segment_beyond_memory_is_refused() {
    let mut crafted = Crafted::new();
    crafted.segments[0].p_paddr = (32 << 20) - 0x1000;
    assert!(matches!(crafted.load(), Err(Problem::OutsideMemory { start: 0x1ff_f000, .. })));
}

#[test]
fn a_segment_over_the_boot_structures_is_refused() {
    let mut crafted = Crafted::new();
    crafted.segments[0].p_paddr = 0x7000;
    assert!(matches!(crafted.load(), Err(Problem::OutsideMemory { start: 0x7000, .. })));
}

#[test]
fn a_segment_larger_in_the_file_than_in_memory_is_refused() {
    let mut crafted = Crafted::new();
    crafted.segments[0].p_memsz = 0x100;
    assert!(matches!(crafted.load(), Err(Problem::Header(_))));
}

#[test]
fn an_entry_outside_of_the_segments_is_refused() {
    let mut crafted = Crafted::new();
    crafted.header.e_entry = 0x10_8000;
    assert!(matches!(crafted.load(), Err(Problem::EntryOutside(0x10_8000))));
    let crafted = Crafted::new().with_pvh(0x9_0000);
    assert!(matches!(crafted.load(), Err(Problem::EntryOutside(0x9_0000))));
}

#[test]
fn other_machines_are_refused() {
    let mut crafted = Crafted::new();
    crafted.header.e_machine = linux_loader::elf::EM_AARCH64;
    assert!(matches!(crafted.load(), Err(Problem::WrongMachine(_))));
    let mut crafted = Crafted::new();
    crafted.header.e_ident[4] = 1;
    assert!(matches!(crafted.load(), Err(Problem::WrongMachine("not a 64-bit ELF file"))));
    let mut crafted = Crafted::new();
    crafted.header.e_ident[5] = 2;
    assert!(matches!(crafted.load(), Err(Problem::WrongMachine("big-endian"))));
}

#[test]
fn odd_program_header_tables_are_refused() {
    let mut crafted = Crafted::new();
    crafted.header.e_phentsize = 32;
    assert!(matches!(crafted.load(), Err(Problem::Header("size of program headers"))));
    let mut crafted = Crafted::new();
    crafted.header.e_phnum = 0xffff;
    assert!(matches!(crafted.load(), Err(Problem::Header("number of program headers"))));
    let mut crafted = Crafted::new();
    crafted.header.e_phoff = u64::MAX;
    assert!(matches!(crafted.load(), Err(Problem::Header("an offset wraps"))));
}

#[test]
fn a_file_without_loadable_segments_has_no_entry() {
    let mut crafted = Crafted::new();
    crafted.segments[0].p_type = 0;
    assert!(matches!(crafted.load(), Err(Problem::EntryOutside(0x10_0040))));
}
