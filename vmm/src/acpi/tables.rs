//! Where the tables lie, and how they point at each other.

use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, sdt::Sdt};
use devices::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, Platform, dsdt, fadt, madt};
use crate::memory::layout::Range;

/// Tables begin at multiples of this.
const ALIGN: u64 = 16;

/// Why the tables cannot be put into the guest.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// Too many devices for the area.
    #[error("ACPI tables of {size} bytes do not fit the area of {room} bytes")]
    NoRoom {
        /// What they take.
        size: u64,
        /// What there is.
        room: u64,
    },
    /// The area is not memory.
    #[error("failed to write ACPI tables to guest memory")]
    Write(#[from] vm_memory::GuestMemoryError),
}

/// Tables laid out one behind the other.
struct Area {
    bytes: Vec<u8>,
    start: u64,
}

impl Area {
    /// Appends a table and returns its address.
    fn push(&mut self, table: &dyn Aml) -> u64 {
        let at = (self.bytes.len() as u64).next_multiple_of(ALIGN);
        self.bytes.resize(at as usize, 0);
        table.to_aml_bytes(&mut self.bytes);
        self.start + at
    }
}

/// Writes all tables into `area`, the RSDP at its start.
///
/// # Errors
/// When the tables are larger than the area, or the area is not guest memory.
pub fn write_tables(ram: &GuestRam, area: Range, platform: &Platform) -> Result<(), TablesError> {
    let bytes = lay_out(area.start, platform);
    let size = bytes.len() as u64;
    if size > area.size {
        return Err(TablesError::NoRoom { size, room: area.size });
    }
    Ok(ram.write_slice(&bytes, GuestAddress(area.start))?)
}

/// All tables as bytes from `start`.
pub(super) fn lay_out(start: u64, platform: &Platform) -> Vec<u8> {
    // The RSDP comes first but is known last.
    let mut area = Area { bytes: vec![0; Rsdp::len()], start };
    let dsdt = area.push(&dsdt_table(platform));
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(area.push(&fadt::fadt(platform, dsdt)));
    xsdt.add_entry(area.push(&madt::madt(platform)));
    if let Some(pci) = &platform.pci {
        let mut mcfg = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
        mcfg.add_ecam(pci.ecam.start, 0, 0, 0);
        xsdt.add_entry(area.push(&mcfg));
    }
    let xsdt = area.push(&xsdt);
    let mut rsdp = Vec::new();
    Rsdp::new(OEM_ID, xsdt).to_aml_bytes(&mut rsdp);
    let mut bytes = area.bytes;
    for (place, byte) in bytes.iter_mut().zip(rsdp) {
        *place = byte;
    }
    bytes
}

fn dsdt_table(platform: &Platform) -> Sdt {
    const HEADER: u32 = 36;
    let mut table = Sdt::new(*b"DSDT", HEADER, 2, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&dsdt::dsdt(platform));
    table
}
