//! An empty MP table (Intel MultiProcessor Specification 1.4, section 4), to be found at once.
//!
//! The machine is described by ACPI alone. But Linux looks for this table before it looks at ACPI,
//! and maps and unmaps every 16 bytes of the BIOS area while it does: some 65,000 page table
//! entries until it knows that there is none. It looks at the end of conventional memory first.
//! The table says nothing, so a kernel that is told to do without ACPI finds what it would have
//! found without one: no processor and no interrupt controller.

use devices::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

use crate::memory::layout::{LAPIC, MP_TABLE};

/// Version 1.4 of the specification.
const REVISION: u8 = 4;

/// The "floating pointer", for which kernels look.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Pointer {
    signature: [u8; 4],
    table: U32,
    /// In units of 16 bytes.
    length: u8,
    revision: u8,
    checksum: u8,
    /// All zero: there is a table.
    features: [u8; 5],
}

/// The head of the table, behind which there are no entries.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Head {
    signature: [u8; 4],
    length: U16,
    revision: u8,
    checksum: u8,
    oem: [u8; 8],
    product: [u8; 12],
    oem_table: U32,
    oem_table_size: U16,
    entries: U16,
    lapic: U32,
    extended_length: U16,
    extended_checksum: u8,
    reserved: u8,
}

/// Writes it.
pub(super) fn write(memory: &GuestRam) -> Result<(), GuestMemoryError> {
    let table = MP_TABLE.0 + size_of::<Pointer>() as u64;
    let mut pointer = Pointer {
        signature: *b"_MP_",
        table: low(table),
        length: 1,
        revision: REVISION,
        checksum: 0,
        features: [0; 5],
    };
    pointer.checksum = checksum(pointer.as_bytes());
    let mut head = Head {
        signature: *b"PCMP",
        length: U16::new(size_of::<Head>() as u16),
        revision: REVISION,
        checksum: 0,
        oem: *b"BULKHEAD",
        product: *b"microVM     ",
        oem_table: U32::ZERO,
        oem_table_size: U16::ZERO,
        entries: U16::ZERO,
        lapic: low(LAPIC),
        extended_length: U16::ZERO,
        extended_checksum: 0,
        reserved: 0,
    };
    head.checksum = checksum(head.as_bytes());
    memory.write_slice(pointer.as_bytes(), MP_TABLE)?;
    memory.write_slice(head.as_bytes(), GuestAddress(table))
}

/// An address below 4 GiB.
fn low(address: u64) -> U32 {
    U32::new(address as u32)
}

/// The byte with which all others add up to zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AddressSpace, Backing, Pages, allocate};

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    #[test]
    fn empty_table_is_found_in_the_last_kib_of_conventional_memory() {
        let space = AddressSpace::new(64 << 20, 46).unwrap();
        let memory = allocate(&space, Backing::Anonymous, Pages::Normal).unwrap();
        write(&memory).unwrap();
        let mut bytes = [0u8; 60];
        memory.read_slice(&mut bytes, GuestAddress(639 << 10)).unwrap();
        let (pointer, head) = bytes.split_at(16);
        assert_eq!(&pointer[..4], b"_MP_");
        assert_eq!(u32::from_le_bytes(pointer[4..8].try_into().unwrap()), (639 << 10) + 16);
        assert_eq!(sum(pointer), 0);
        assert_eq!(&head[..4], b"PCMP");
        assert_eq!(u16::from_le_bytes([head[4], head[5]]), 44);
        assert_eq!(sum(head), 0);
        assert_eq!(&head[34..36], &[0, 0], "entries");
        assert_eq!(u32::from_le_bytes(head[36..40].try_into().unwrap()), 0xfee0_0000);
    }
}
