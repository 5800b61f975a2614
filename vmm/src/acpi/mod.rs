//! ACPI tables of a hardware-reduced machine (ACPI 6.5), from a plain description of it.
//!
//! ```text
//! RSDP ─► XSDT ─► FADT ─► DSDT (devices)
//!              ├► MADT (interrupt controllers)
//!              └► MCFG (PCI configuration window)
//! ```

mod device;
mod dsdt;
mod fadt;
mod madt;
mod tables;

use crate::memory::layout::Range;

pub use tables::{TablesError, write_tables};

/// Manufacturer in every table.
const OEM_ID: [u8; 6] = *b"BLKHD ";
/// Model in every table.
const OEM_TABLE_ID: [u8; 8] = *b"BULKHEAD";
/// Revision in every table.
const OEM_REVISION: u32 = 1;

/// What the tables tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// APIC ids of the processors, in their order.
    pub apic_ids: Vec<u32>,
    /// The PCI bus, if there is one.
    pub pci: Option<PciHost>,
    /// virtio-mmio devices.
    pub mmio: Vec<MmioDevice>,
    /// GSI of COM1, if there is one.
    pub serial: Option<u32>,
    /// GSI of the keyboard controller, if there is one.
    pub keyboard: Option<u32>,
    /// First port of the power registers (`devices::legacy::acpi_power`).
    pub power_ports: u16,
    /// GSI of the generic event device.
    pub event_gsi: u32,
    /// Port of pvpanic.
    pub pvpanic_port: u16,
    /// Guest address of the VM generation ID, 16 bytes, if there is one.
    pub generation_id: Option<u64>,
}

/// A PCI host bridge with one bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciHost {
    /// Memory-mapped configuration space.
    pub ecam: Range,
    /// Whether the ports 0xcf8 to 0xcff lead to it as well.
    pub config_ports: bool,
    /// Memory window below 4 GiB.
    pub window_32: Range,
    /// Memory window above RAM; none if its size is zero.
    pub window_64: Range,
}

/// A virtio-mmio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioDevice {
    /// Its register window, below 4 GiB.
    pub window: Range,
    /// Its interrupt.
    pub gsi: u32,
}

#[cfg(test)]
mod tests;
