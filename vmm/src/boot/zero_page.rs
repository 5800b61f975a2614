//! `boot_params`, the "zero page" of the Linux 64-bit boot protocol.

use linux_loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use vm_memory::GuestAddress;

use super::memory_map::MapEntry;
use crate::memory::layout::{COMMAND_LINE, Range};

/// The setup header of a kernel that brings none (ELF).
pub(super) fn bare_header() -> setup_header {
    setup_header {
        boot_flag: 0xaa55,
        header: u32::from_le_bytes(*b"HdrS"),
        // `acpi_rsdp_addr` is read from 2.14 on.
        version: 0x020e,
        type_of_loader: 0xff,
        kernel_alignment: 0x0100_0000,
        ..setup_header::default()
    }
}

/// Composes `boot_params`.
pub(super) fn zero_page(
    header: setup_header,
    map: &[MapEntry],
    initrd: Option<Range>,
    rsdp: GuestAddress,
) -> boot_params {
    let mut params = boot_params { hdr: header, acpi_rsdp_addr: rsdp.0, ..boot_params::default() };
    // Everything below lies under 4 GiB by the address map.
    let low = |address: u64| u32::try_from(address).unwrap_or(u32::MAX);
    params.hdr.cmd_line_ptr = low(COMMAND_LINE.0);
    if let Some(initrd) = initrd {
        params.hdr.ramdisk_image = low(initrd.start);
        params.hdr.ramdisk_size = low(initrd.size);
    }
    let mut table = params.e820_table;
    for (entry, slot) in map.iter().zip(table.iter_mut()) {
        let (addr, size) = (entry.range.start, entry.range.size);
        *slot = boot_e820_entry { addr, size, r#type: entry.kind as u32 };
        params.e820_entries += 1;
    }
    params.e820_table = table;
    params
}

#[cfg(test)]
mod tests {
    use super::super::memory_map::memory_map;
    use super::*;
    use crate::memory::AddressSpace;

    #[test]
    fn map_initrd_command_line_and_rsdp_are_told() {
        let map = memory_map(&AddressSpace::new(64 << 20, 46).unwrap());
        let initrd = Range { start: 0x300_0000, size: 12345 };
        let page = zero_page(bare_header(), &map, Some(initrd), GuestAddress(0xe_0000));
        assert_eq!(usize::from(page.e820_entries), map.len());
        assert_eq!({ page.e820_table[3].addr }, 0x10_0000);
        assert_eq!({ page.e820_table[3].size }, 63 << 20);
        assert_eq!({ page.hdr.ramdisk_image }, 0x300_0000);
        assert_eq!({ page.hdr.ramdisk_size }, 12345);
        assert_eq!({ page.hdr.cmd_line_ptr }, 0x2_0000);
        assert_eq!({ page.acpi_rsdp_addr }, 0xe_0000);
    }
}
