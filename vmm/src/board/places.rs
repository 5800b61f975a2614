//! Which address, port and interrupt each part of the board has.

use devices::virtio::transport::{mmio, pci};
use vm_spec::{BoardSpec, Slot};

use crate::acpi::{MmioDevice, PciHost};
use crate::memory::AddressSpace;
use crate::memory::layout::{self, Range};

/// First port of the ACPI power registers.
pub(super) const POWER_PORTS: u16 = 0x600;
/// Interrupt of the keyboard controller.
pub(super) const KEYBOARD_GSI: u32 = 1;
/// Interrupt of the generic event device.
pub(super) const EVENT_GSI: u32 = 5;
/// First interrupt of virtio-mmio devices.
const FIRST_MMIO_GSI: u32 = 6;
/// Inputs of the IOAPIC from there on. More devices than these share them.
const MMIO_GSIS: u32 = 24 - FIRST_MMIO_GSI;
/// Bytes kept free at the end of the ACPI area, for the VM generation ID.
const GENERATION_ID_ROOM: u64 = 0x1000;

/// The host bridge's windows.
pub(super) fn pci_host(space: &AddressSpace, board: BoardSpec) -> PciHost {
    PciHost {
        ecam: layout::ECAM,
        config_ports: !board.ecam_only,
        window_32: layout::PCI_WINDOW_32,
        window_64: space.pci_window_64,
    }
}

/// Where the BAR of the function in `slot` lies: above RAM, or below 4 GiB where the processor
/// cannot address more.
pub(super) fn bar(space: &AddressSpace, slot: Slot) -> u64 {
    let window = space.pci_window_64;
    let offset = u64::from(slot.number()) * pci::BAR_SIZE;
    let fits = offset + pci::BAR_SIZE <= window.size;
    let base = if fits { window.start } else { layout::PCI_WINDOW_32.start };
    base + offset
}

/// Registers and interrupt of the virtio-mmio device in `slot`.
pub(super) fn mmio_window(slot: Slot) -> MmioDevice {
    let number = u64::from(slot.number());
    let start = layout::VIRTIO_MMIO.start + number * mmio::WINDOW_SIZE;
    let gsi = FIRST_MMIO_GSI + (u32::from(slot.number()) - 1) % MMIO_GSIS;
    MmioDevice { window: Range { start, size: mmio::WINDOW_SIZE }, gsi }
}

/// Where ACPI tables may lie.
pub(super) fn acpi_area() -> Range {
    let start = layout::ACPI_START.0;
    Range { start, size: layout::ACPI_END.0 - GENERATION_ID_ROOM - start }
}

/// Where the VM generation ID lies.
pub(super) fn generation_id() -> u64 {
    layout::ACPI_END.0 - GENERATION_ID_ROOM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_bars_of_all_slots_are_apart_and_inside() {
        let space = AddressSpace::new(128 << 20, 46).unwrap();
        let bars: Vec<_> = Slot::all().map(|slot| bar(&space, slot)).collect();
        assert!(bars.windows(2).all(|pair| pair[1] - pair[0] == pci::BAR_SIZE));
        assert!(bars.iter().all(|bar| space.pci_window_64.contains(bar + pci::BAR_SIZE - 1)));
        for slot in Slot::all() {
            let device = mmio_window(slot);
            assert!(layout::VIRTIO_MMIO.contains(device.window.end() - 1));
            assert!((FIRST_MMIO_GSI..24).contains(&device.gsi));
        }
    }

    #[test]
    fn processor_with_few_address_bits_has_bars_below_4_gib() {
        let space = AddressSpace::new(128 << 20, 32).unwrap();
        let slot = Slot::try_from(1).unwrap();
        assert!(layout::PCI_WINDOW_32.contains(bar(&space, slot)));
    }
}
