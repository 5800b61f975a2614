//! `hvm_start_info`, what the PVH protocol hands to the kernel.

use devices::memory::GuestRam;
use linux_loader::start_info::{
    XEN_HVM_START_MAGIC_VALUE, hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::memory_map::MapEntry;
use crate::memory::layout::{COMMAND_LINE, Range, START_INFO};

const MODULE_LIST: u64 = START_INFO.0 + size_of::<hvm_start_info>() as u64;
const MEMORY_MAP: u64 = START_INFO.0 + 0x100;

/// Writes the start info, the initial RAM disk as its one module, and the memory map.
pub(super) fn write(
    memory: &GuestRam,
    map: &[MapEntry],
    initrd: Option<Range>,
    rsdp: GuestAddress,
) -> Result<(), GuestMemoryError> {
    let mut info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        // Version 1 brought the memory map.
        version: 1,
        cmdline_paddr: COMMAND_LINE.0,
        rsdp_paddr: rsdp.0,
        memmap_paddr: MEMORY_MAP,
        ..hvm_start_info::default()
    };
    if let Some(initrd) = initrd {
        info.nr_modules = 1;
        info.modlist_paddr = MODULE_LIST;
        let (paddr, size) = (initrd.start, initrd.size);
        let module = hvm_modlist_entry { paddr, size, ..hvm_modlist_entry::default() };
        memory.write_obj(module, GuestAddress(MODULE_LIST))?;
    }
    for (address, entry) in (MEMORY_MAP..).step_by(size_of::<hvm_memmap_table_entry>()).zip(map) {
        let (addr, size) = (entry.range.start, entry.range.size);
        let entry = hvm_memmap_table_entry { addr, size, type_: entry.kind as u32, reserved: 0 };
        memory.write_obj(entry, GuestAddress(address))?;
        info.memmap_entries += 1;
    }
    memory.write_obj(info, START_INFO)
}

#[cfg(test)]
mod tests {
    use super::super::memory_map::memory_map;
    use super::*;
    use crate::memory::{AddressSpace, Backing, Pages, allocate};

    fn written(initrd: Option<Range>) -> (GuestRam, hvm_start_info) {
        let space = AddressSpace::new(64 << 20, 46).unwrap();
        let memory = allocate(&space, Backing::Anonymous, Pages::Normal).unwrap();
        write(&memory, &memory_map(&space), initrd, GuestAddress(0xe_0000)).unwrap();
        let info = memory.read_obj(START_INFO).unwrap();
        (memory, info)
    }

    #[test]
    fn the_memory_map_is_where_the_start_info_says() {
        let (memory, info) = written(None);
        assert_eq!(info.magic, 0x336e_c578);
        assert_eq!(info.memmap_entries, 5);
        let fourth: hvm_memmap_table_entry =
            memory.read_obj(GuestAddress(info.memmap_paddr + 3 * 24)).unwrap();
        assert_eq!((fourth.addr, fourth.size, fourth.type_), (0x10_0000, 63 << 20, 1));
        assert_eq!(info.nr_modules, 0);
    }

    #[test]
    fn the_initrd_is_the_one_module() {
        let (memory, info) = written(Some(Range { start: 0x300_0000, size: 77 }));
        assert_eq!(info.nr_modules, 1);
        let module: hvm_modlist_entry = memory.read_obj(GuestAddress(info.modlist_paddr)).unwrap();
        assert_eq!((module.paddr, module.size), (0x300_0000, 77));
    }
}
