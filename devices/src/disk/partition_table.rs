//! GUID partition tables (UEFI 2.10 §5), made for partitions that exist already.

use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

/// Entries of a table, as everybody has them.
pub(super) const ENTRIES: usize = 128;
/// Partitions begin at multiples of this many bytes.
const PARTITION_ALIGNMENT: u64 = 1 << 20;
/// The disk's size is a multiple of this many bytes.
const DISK_ALIGNMENT: u64 = 4096;
/// Bytes of all entries.
const ENTRIES_LEN: u64 = (ENTRIES * size_of::<Entry>()) as u64;
/// 0FC63DAF-8483-4772-8E79-3D69D8477DE4: Linux file system data.
const LINUX_DATA: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

/// The header of a table (§5.3.2).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    signature: [u8; 8],
    revision: U32,
    header_size: U32,
    header_crc: U32,
    reserved: U32,
    this_lba: U64,
    other_lba: U64,
    first_usable_lba: U64,
    last_usable_lba: U64,
    disk_guid: [u8; 16],
    entries_lba: U64,
    entries: U32,
    entry_size: U32,
    entries_crc: U32,
}

/// A partition (§5.3.3).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Entry {
    kind: [u8; 16],
    guid: [u8; 16],
    first_lba: U64,
    last_lba: U64,
    attributes: U64,
    name: [U16; 36],
}

/// The one partition of a protective master boot record (§5.2.3), which covers the disk.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Protection {
    boot_indicator: u8,
    start_chs: [u8; 3],
    kind: u8,
    end_chs: [u8; 3],
    first_lba: U32,
    lbas: U32,
}

/// Where a table puts partitions of given sizes, and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartitionTable {
    /// First byte of each partition.
    pub(super) partitions: Vec<u64>,
    /// What the disk begins with: master boot record, header and entries.
    pub(super) head: Vec<u8>,
    /// What it ends with: entries and header once more.
    pub(super) tail: Vec<u8>,
    /// The disk's size in bytes.
    pub(super) disk_size: u64,
}

impl PartitionTable {
    /// Lays out partitions of `sizes` bytes, none of them 0, on a disk with logical blocks of
    /// `block` bytes. All identifiers follow from the sizes, so the same partitions are the same
    /// disk wherever their contents lie. `None` if the sum is beyond any disk.
    pub(super) fn new(sizes: &[u64], block: u32) -> Option<Self> {
        let block = u64::from(block);
        let mut end = 2 * block + ENTRIES_LEN;
        let mut partitions = Vec::with_capacity(sizes.len());
        for size in sizes {
            let start = end.checked_next_multiple_of(PARTITION_ALIGNMENT)?;
            partitions.push(start);
            end = start.checked_add(*size)?;
        }
        let last_usable = end.checked_next_multiple_of(block)? / block - 1;
        let disk_size = ((last_usable + 1) * block).checked_add(ENTRIES_LEN + block)?;
        let disk_size = disk_size.checked_next_multiple_of(DISK_ALIGNMENT)?;
        // Offsets of files are signed.
        i64::try_from(disk_size).ok()?;

        let last = disk_size / block - 1;
        let entries = entries(sizes, &partitions, block);
        let primary = Header {
            signature: *b"EFI PART",
            revision: 0x0001_0000.into(),
            header_size: (size_of::<Header>() as u32).into(),
            header_crc: 0.into(),
            reserved: 0.into(),
            this_lba: 1.into(),
            other_lba: last.into(),
            first_usable_lba: (2 + ENTRIES_LEN / block).into(),
            last_usable_lba: last_usable.into(),
            disk_guid: guid(sizes, 0),
            entries_lba: 2.into(),
            entries: (ENTRIES as u32).into(),
            entry_size: (size_of::<Entry>() as u32).into(),
            entries_crc: crc32(&entries).into(),
        };
        let block_len = usize::try_from(block).ok()?;
        let mut head = protective_record(last, block_len);
        head.extend(header_block(&primary, block_len));
        head.extend(&entries);
        let backup = Header {
            this_lba: last.into(),
            other_lba: 1.into(),
            entries_lba: (last - ENTRIES_LEN / block).into(),
            ..primary
        };
        let mut tail = entries;
        tail.extend(header_block(&backup, block_len));
        Some(Self { partitions, head, tail, disk_size })
    }
}

fn entries(sizes: &[u64], partitions: &[u64], block: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRIES * size_of::<Entry>());
    for (number, (start, size)) in (1..).zip(partitions.iter().zip(sizes)) {
        let mut name = [U16::ZERO; 36];
        for (unit, c) in name.iter_mut().zip(format!("part-{number}").encode_utf16()) {
            unit.set(c);
        }
        let entry = Entry {
            kind: LINUX_DATA,
            guid: guid(sizes, number),
            first_lba: (start / block).into(),
            last_lba: ((start + size).div_ceil(block) - 1).into(),
            attributes: 0.into(),
            name,
        };
        bytes.extend_from_slice(entry.as_bytes());
    }
    bytes.resize(ENTRIES * size_of::<Entry>(), 0);
    bytes
}

/// The identifier of partition `number`, or of the disk (0): a UUID of version 8 (RFC 9562 §5.8)
/// in the byte order of UEFI.
fn guid(sizes: &[u64], number: u32) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"bulkhead composite disk");
    hash.update(number.to_le_bytes());
    sizes.iter().for_each(|size| hash.update(size.to_le_bytes()));
    let mut guid = [0; 16];
    guid.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    let [.., version, variant, _, _, _, _, _, _, _] = &mut guid;
    *version = *version & 0x0f | 0x80;
    *variant = *variant & 0x3f | 0x80;
    guid
}

fn header_block(header: &Header, block: usize) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    let crc = crc32(&bytes).to_le_bytes();
    let at = std::mem::offset_of!(Header, header_crc);
    if let Some(field) = bytes.get_mut(at..at + crc.len()) {
        field.copy_from_slice(&crc);
    }
    bytes.resize(block, 0);
    bytes
}

/// Block 0, for programs that know no GUID partition tables: one partition, of a kind unknown to
/// them, over the whole disk.
fn protective_record(last_lba: u64, block: usize) -> Vec<u8> {
    let protection = Protection {
        boot_indicator: 0,
        start_chs: [0, 2, 0],
        kind: 0xee,
        end_chs: [0xff; 3],
        first_lba: 1.into(),
        lbas: u32::try_from(last_lba).unwrap_or(u32::MAX).into(),
    };
    let mut bytes = vec![0; 446];
    bytes.extend_from_slice(protection.as_bytes());
    bytes.resize(510, 0);
    bytes.extend_from_slice(&[0x55, 0xaa]);
    bytes.resize(block, 0);
    bytes
}

/// The checksum of Ethernet (IEEE 802.3), which UEFI uses. Slow, for the few bytes of a table.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_ethernet() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn identifiers_follow_from_the_sizes_alone_and_differ_from_each_other() {
        let table = |sizes| PartitionTable::new(sizes, 512).unwrap();
        assert_eq!(table(&[4096, 8192]), table(&[4096, 8192]));
        let sizes = [4096, 8192];
        assert_ne!(guid(&sizes, 0), guid(&sizes, 1));
        assert_ne!(guid(&sizes, 1), guid(&sizes, 2));
        assert_ne!(guid(&sizes, 1), guid(&[4096, 8193], 1));
    }

    #[test]
    fn sizes_beyond_any_disk_are_refused() {
        assert_eq!(PartitionTable::new(&[u64::MAX], 512), None);
        assert_eq!(PartitionTable::new(&[1 << 62, 1 << 62], 4096), None);
    }
}
