//! Page tables for the 64-bit entry: the first 4 GiB, identity-mapped in 2 MiB pages.

use devices::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use crate::memory::layout::PAGE_TABLES;

/// Present and writable.
const PRESENT: u64 = 0x3;
/// Present, writable, and a page of its own instead of a table.
const LARGE: u64 = 0x83;
const TABLE_SIZE: u64 = 0x1000;
const DIRECTORIES: u64 = 4;

/// Writes the tables and returns what CR3 must hold.
///
/// # Errors
/// When guest memory cannot be written.
pub fn write(memory: &GuestRam) -> Result<u64, GuestMemoryError> {
    let pml4 = PAGE_TABLES.0;
    let pdpt = pml4 + TABLE_SIZE;
    let directories = pdpt + TABLE_SIZE;
    memory.write_obj(pdpt | PRESENT, GuestAddress(pml4))?;
    for index in 0..DIRECTORIES {
        let directory = directories + index * TABLE_SIZE;
        memory.write_obj(directory | PRESENT, GuestAddress(pdpt + index * 8))?;
    }
    let mut pages = Vec::with_capacity((DIRECTORIES * TABLE_SIZE) as usize);
    for page in 0..DIRECTORIES * 512 {
        pages.extend(((page << 21) | LARGE).to_le_bytes());
    }
    memory.write_slice(&pages, GuestAddress(directories))?;
    Ok(pml4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AddressSpace, Backing, Pages, allocate};

    /// Walks the tables as the processor does.
    fn translate(memory: &GuestRam, cr3: u64, address: u64) -> u64 {
        let entry = |table: u64, shift: u32| -> u64 {
            let index = address >> shift & 0x1ff;
            memory.read_obj(GuestAddress((table & !0xfff) + index * 8)).unwrap()
        };
        let pdpt = entry(cr3, 39);
        let directory = entry(pdpt, 30);
        let page = entry(directory, 21);
        assert_eq!((pdpt & 1, directory & 1, page & 0x81), (1, 1, 0x81));
        (page & !0x1f_ffff) | (address & 0x1f_ffff)
    }

    #[test]
    fn the_first_four_gib_map_to_themselves() {
        let space = AddressSpace::new(32 << 20, 46).unwrap();
        let memory = allocate(&space, Backing::Anonymous, Pages::Normal).unwrap();
        let cr3 = write(&memory).unwrap();
        for address in [0, 0x10_0000, 0x7fff_ffff, 0xffff_ffff] {
            assert_eq!(translate(&memory, cr3, address), address);
        }
    }
}
