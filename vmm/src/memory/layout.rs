//! The guest physical address map.
//!
//! ```text
//! 0x0000_0000  RAM            boot structures, see the constants below
//! 0x0009_fc00  reserved       end of conventional memory, MP table
//! 0x000e_0000  reserved       ACPI tables, VM generation ID
//! 0x000f_fff0  reserved       code that restarts the machine
//! 0x0010_0000  RAM            the kernel, up to the hole or to the end of memory
//! 0xc000_0000  hole           32-bit PCI window
//! 0xe000_0000                 PCI configuration space (ECAM), one bus
//! 0xf000_0000                 virtio-mmio windows
//! 0xfec0_0000                 IOAPIC, then LAPIC and KVM's own pages
//! 0x1_0000_0000 RAM           what does not fit below the hole
//! above RAM                   64-bit PCI window, aligned to 1 GiB
//! ```

use vm_memory::GuestAddress;

/// Where the boot GDT lies.
pub const GDT: GuestAddress = GuestAddress(0x500);
/// Where the (empty) boot IDT lies.
pub const IDT: GuestAddress = GuestAddress(0x520);
/// `hvm_start_info` of the PVH protocol, its module list and memory map behind it.
pub const START_INFO: GuestAddress = GuestAddress(0x6000);
/// `boot_params` ("zero page") of the Linux 64-bit protocol.
pub const ZERO_PAGE: GuestAddress = GuestAddress(0x7000);
/// Top of the stack that the 64-bit entry starts with.
pub const BOOT_STACK_TOP: GuestAddress = GuestAddress(0x8ff0);
/// Identity-mapping page tables: one PML4, one PDPT, four page directories.
pub const PAGE_TABLES: GuestAddress = GuestAddress(0x9000);
/// The kernel command line.
pub const COMMAND_LINE: GuestAddress = GuestAddress(0x2_0000);
/// Longest command line with its NUL: `COMMAND_LINE_SIZE` of Linux on x86.
pub const COMMAND_LINE_SIZE: usize = 2048;
/// End of conventional memory.
pub const LOW_RAM_END: u64 = 0x9_fc00;
/// The empty MP table: in the last KiB of conventional memory, where kernels look first.
pub const MP_TABLE: GuestAddress = GuestAddress(LOW_RAM_END);
/// ACPI tables live here; the RSDP first, where a kernel scans for it.
pub const ACPI_START: GuestAddress = GuestAddress(0xe_0000);
/// End of the ACPI area.
pub const ACPI_END: GuestAddress = GuestAddress(0xf_f000);
/// Where a kernel jumps in real mode when it restarts through the firmware.
pub const RESET_VECTOR: GuestAddress = GuestAddress(0xf_fff0);
/// First address of the RAM that kernels are loaded into.
pub const HIGH_RAM: GuestAddress = GuestAddress(0x10_0000);

// Boot structures do not overlap.
const _: () = {
    assert!(START_INFO.0 + 0x1000 <= ZERO_PAGE.0);
    assert!(ZERO_PAGE.0 + 0x1000 <= BOOT_STACK_TOP.0);
    assert!(BOOT_STACK_TOP.0 <= PAGE_TABLES.0);
    assert!(PAGE_TABLES.0 + 6 * 0x1000 <= COMMAND_LINE.0);
    assert!(COMMAND_LINE.0 + COMMAND_LINE_SIZE as u64 <= LOW_RAM_END);
};

/// First address of the hole below 4 GiB.
pub const HOLE_START: u64 = 0xc000_0000;
/// First address after the hole.
pub const HOLE_END: u64 = 1 << 32;
/// 32-bit PCI memory window.
pub const PCI_WINDOW_32: Range = Range { start: HOLE_START, size: 0x2000_0000 };
/// PCI configuration space of bus 0 (ECAM).
pub const ECAM: Range = Range { start: 0xe000_0000, size: 0x10_0000 };
/// Windows for virtio-mmio devices, one page each.
pub const VIRTIO_MMIO: Range = Range { start: 0xf000_0000, size: 0x10_0000 };
/// The IOAPIC that KVM provides.
pub const IOAPIC: u64 = 0xfec0_0000;
/// The local APIC that KVM provides.
pub const LAPIC: u64 = 0xfee0_0000;
/// Page that KVM uses for identity-mapped page tables (VMX without unrestricted guests).
pub const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;
/// Three pages that KVM uses for a TSS (VMX without unrestricted guests).
pub const KVM_TSS: u64 = 0xfffb_d000;

/// Size of a host page, bytes.
pub const PAGE_SIZE: u64 = 4096;
/// Smallest guest memory, bytes.
pub const MIN_MEMORY: u64 = 32 << 20;
/// Largest guest memory, bytes.
pub const MAX_MEMORY: u64 = 1 << 40;
/// Largest size given to the 64-bit PCI window, bytes.
const PCI_WINDOW_64_SIZE: u64 = 64 << 30;
/// Alignment of the 64-bit PCI window, bytes.
const PCI_WINDOW_64_ALIGN: u64 = 1 << 30;

/// A range of guest physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
}

impl Range {
    /// First address after the range.
    pub const fn end(self) -> u64 {
        self.start + self.size
    }

    /// Whether `address` lies inside.
    pub const fn contains(self, address: u64) -> bool {
        address >= self.start && address < self.end()
    }
}

/// Why a guest memory size cannot be laid out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// Below [`MIN_MEMORY`].
    #[error("Guest memory of {0} bytes is below the minimum of 32 MiB")]
    TooSmall(u64),
    /// Above [`MAX_MEMORY`].
    #[error("Guest memory of {0} bytes is above the maximum of 1 TiB")]
    TooLarge(u64),
    /// Not a multiple of 1 MiB.
    #[error("Guest memory of {0} bytes is not a multiple of 1 MiB")]
    Unaligned(u64),
    /// The guest CPU cannot address it.
    #[error("Guest memory ends at {end:#x}, beyond the CPU's {bits} physical address bits")]
    BeyondCpu {
        /// First address after RAM.
        end: u64,
        /// Physical address bits of the guest CPU.
        bits: u8,
    },
}

/// The guest physical address space of one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    /// RAM from 0 up to the hole or the end of memory.
    pub low_ram: Range,
    /// RAM from 4 GiB on, if any.
    pub high_ram: Option<Range>,
    /// 64-bit PCI memory window.
    pub pci_window_64: Range,
}

impl AddressSpace {
    /// Lays out `memory` bytes of RAM for a CPU with `physical_bits` address bits.
    ///
    /// # Errors
    /// When the size is out of range, not MiB-aligned, or beyond the CPU's reach.
    pub fn new(memory: u64, physical_bits: u8) -> Result<Self, LayoutError> {
        if memory < MIN_MEMORY {
            return Err(LayoutError::TooSmall(memory));
        }
        if memory > MAX_MEMORY {
            return Err(LayoutError::TooLarge(memory));
        }
        if !memory.is_multiple_of(1 << 20) {
            return Err(LayoutError::Unaligned(memory));
        }
        let low_ram = Range { start: 0, size: memory.min(HOLE_START) };
        let above = memory - low_ram.size;
        let high_ram = (above > 0).then_some(Range { start: HOLE_END, size: above });
        let ram_end = HOLE_END + above;
        let limit = 1u64 << physical_bits.clamp(32, 52);
        let window = ram_end.next_multiple_of(PCI_WINDOW_64_ALIGN);
        if ram_end > limit || (window >= limit && high_ram.is_some()) {
            return Err(LayoutError::BeyondCpu { end: ram_end, bits: physical_bits });
        }
        let size = limit.saturating_sub(window).min(PCI_WINDOW_64_SIZE);
        Ok(Self { low_ram, high_ram, pci_window_64: Range { start: window, size } })
    }

    /// The RAM ranges, lowest first.
    pub fn ram(&self) -> impl Iterator<Item = Range> + '_ {
        std::iter::once(self.low_ram).chain(self.high_ram)
    }

    /// Bytes of RAM.
    pub fn ram_size(&self) -> u64 {
        self.ram().map(|range| range.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn small_memory_is_one_range_from_zero() {
        let space = AddressSpace::new(32 * MIB, 46).unwrap();
        assert_eq!(space.low_ram, Range { start: 0, size: 32 * MIB });
        assert_eq!(space.high_ram, None);
        assert_eq!(space.pci_window_64.start, 4 * GIB);
    }

    #[test]
    fn memory_up_to_the_hole_stays_below_it() {
        let space = AddressSpace::new(3 * GIB, 46).unwrap();
        assert_eq!(space.low_ram.end(), HOLE_START);
        assert_eq!(space.high_ram, None);
    }

    #[test]
    fn six_gib_is_split_by_the_hole() {
        let space = AddressSpace::new(6 * GIB, 46).unwrap();
        assert_eq!(space.low_ram, Range { start: 0, size: 3 * GIB });
        assert_eq!(space.high_ram, Some(Range { start: 4 * GIB, size: 3 * GIB }));
        assert_eq!(space.ram_size(), 6 * GIB);
        assert_eq!(space.pci_window_64, Range { start: 7 * GIB, size: 64 * GIB });
    }

    #[test]
    fn the_64_bit_window_ends_at_the_cpus_limit() {
        let space = AddressSpace::new(6 * GIB, 36).unwrap();
        assert_eq!(space.pci_window_64.end(), 64 * GIB);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert_eq!(AddressSpace::new(31 * MIB, 46), Err(LayoutError::TooSmall(31 * MIB)));
        assert_eq!(AddressSpace::new(0, 46), Err(LayoutError::TooSmall(0)));
        assert_eq!(AddressSpace::new(1 << 63, 46), Err(LayoutError::TooLarge(1 << 63)));
        assert_eq!(AddressSpace::new(64 * MIB + 1, 46), Err(LayoutError::Unaligned(64 * MIB + 1)));
    }

    #[test]
    fn memory_beyond_the_cpus_address_bits_is_refused() {
        assert_eq!(
            AddressSpace::new(128 * GIB, 36),
            Err(LayoutError::BeyondCpu { end: 129 * GIB, bits: 36 })
        );
    }
}
