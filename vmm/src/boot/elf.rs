//! ELF kernels: `vmlinux`.

use linux_loader::elf::{
    EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, EM_X86_64, Elf64_Ehdr, Elf64_Phdr, PT_LOAD, PT_NOTE,
};
use vm_memory::{ByteValued, GuestAddress, GuestMemoryBackend};

use devices::memory::GuestRam;

use super::image::{Image, Problem, place};
use super::{Entry, Protocol, pvh_note};
use crate::memory::layout::HIGH_RAM;

/// Program headers that a kernel may have; Linux has five.
const MAX_HEADERS: u16 = 64;

/// A kernel in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// How to enter it.
    pub entry: Entry,
    /// First address after it, its zero-initialized part included.
    pub end: GuestAddress,
}

/// Loads an ELF kernel at the physical addresses that it asks for.
///
/// Fresh guest memory is zero already, so the zero-initialized part costs nothing.
pub(super) fn load(image: &Image, memory: &GuestRam) -> Result<Loaded, Problem> {
    let header = header(image)?;
    let segments = segments(image, &header)?;
    let mut end = HIGH_RAM;
    for segment in segments.iter().filter(|s| s.p_type == PT_LOAD && s.p_memsz > 0) {
        let segment_end = check_segment(image, memory, segment)?;
        let address = GuestAddress(segment.p_paddr);
        place(&image.file, segment.p_offset, memory, address, segment.p_filesz)?;
        end = end.max(segment_end);
    }
    let entry = match pvh_entry(image, &segments)? {
        Some(address) => Entry { protocol: Protocol::Pvh, address },
        None => Entry { protocol: Protocol::Linux64, address: GuestAddress(header.e_entry) },
    };
    let inside = |s: &&Elf64_Phdr| {
        s.p_type == PT_LOAD
            && entry.address.0.checked_sub(s.p_paddr).is_some_and(|distance| distance < s.p_memsz)
    };
    if !segments.iter().any(|segment| inside(&segment)) {
        return Err(Problem::EntryOutside(entry.address.0));
    }
    Ok(Loaded { entry, end })
}

fn header(image: &Image) -> Result<Elf64_Ehdr, Problem> {
    let bytes = image.read("the ELF header", 0, size_of::<Elf64_Ehdr>())?;
    let header = *Elf64_Ehdr::from_slice(&bytes).ok_or(Problem::Header("misaligned"))?;
    // The indices are constants within the 16-byte identification.
    if header.e_ident[EI_CLASS] != ELFCLASS64 {
        return Err(Problem::WrongMachine("not a 64-bit ELF file"));
    }
    if header.e_ident[EI_DATA] != ELFDATA2LSB {
        return Err(Problem::WrongMachine("big-endian"));
    }
    if header.e_machine != EM_X86_64 {
        return Err(Problem::WrongMachine("ELF machine number"));
    }
    if usize::from(header.e_phentsize) != size_of::<Elf64_Phdr>() {
        return Err(Problem::Header("size of program headers"));
    }
    if header.e_phnum == 0 || header.e_phnum > MAX_HEADERS {
        return Err(Problem::Header("number of program headers"));
    }
    Ok(header)
}

fn segments(image: &Image, header: &Elf64_Ehdr) -> Result<Vec<Elf64_Phdr>, Problem> {
    let size = usize::from(header.e_phnum) * size_of::<Elf64_Phdr>();
    let bytes = image.read("the program headers", header.e_phoff, size)?;
    let mut segments = vec![Elf64_Phdr::default(); usize::from(header.e_phnum)];
    for (segment, bytes) in segments.iter_mut().zip(bytes.chunks_exact(size_of::<Elf64_Phdr>())) {
        segment.as_mut_slice().copy_from_slice(bytes);
    }
    Ok(segments)
}

/// Checks a loadable segment against file and memory; returns the first address after it.
fn check_segment(
    image: &Image,
    memory: &GuestRam,
    segment: &Elf64_Phdr,
) -> Result<GuestAddress, Problem> {
    image.check("a loadable segment", segment.p_offset, segment.p_filesz)?;
    if segment.p_filesz > segment.p_memsz {
        return Err(Problem::Header("a segment is larger in the file than in memory"));
    }
    let (start, size) = (segment.p_paddr, segment.p_memsz);
    let outside = Problem::OutsideMemory { what: "a segment", start, size };
    let Some(end) = start.checked_add(size) else {
        return Err(Problem::Header("a segment's address wraps"));
    };
    let fits = usize::try_from(size)
        .is_ok_and(|length| memory.get_slice(GuestAddress(start), length).is_ok());
    if start < HIGH_RAM.0 || !fits {
        return Err(outside);
    }
    Ok(GuestAddress(end))
}

fn pvh_entry(image: &Image, segments: &[Elf64_Phdr]) -> Result<Option<GuestAddress>, Problem> {
    for segment in segments.iter().filter(|s| s.p_type == PT_NOTE) {
        let size = usize::try_from(segment.p_filesz).unwrap_or(usize::MAX);
        let size = size.min(pvh_note::MAX_NOTES);
        let notes = image.read("the notes", segment.p_offset, size)?;
        if let Some(entry) = pvh_note::find(&notes, segment.p_align) {
            return Ok(Some(GuestAddress(u64::from(entry))));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
