//! The memory map handed to the kernel (E820).

use crate::memory::AddressSpace;
use crate::memory::layout::{ACPI_START, ECAM, HIGH_RAM, LOW_RAM_END, Range};

/// What a range is used for; numbered as in E820 and PVH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Usable memory.
    Ram = 1,
    /// Not to be touched.
    Reserved = 2,
}

/// One entry of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapEntry {
    /// Where.
    pub range: Range,
    /// What for.
    pub kind: Kind,
}

/// The map of `space`, lowest address first.
///
/// The configuration space window is in it because Linux uses ECAM only where the memory map
/// or the DSDT reserves it.
pub fn memory_map(space: &AddressSpace) -> Vec<MapEntry> {
    let between = |start: u64, end: u64| Range { start, size: end.saturating_sub(start) };
    let ram = |range| MapEntry { range, kind: Kind::Ram };
    let reserved = |range| MapEntry { range, kind: Kind::Reserved };
    let mut map = vec![
        ram(between(0, LOW_RAM_END)),
        reserved(between(LOW_RAM_END, 0xa_0000)),
        reserved(between(ACPI_START.0, HIGH_RAM.0)),
        ram(between(HIGH_RAM.0, space.low_ram.end())),
        reserved(ECAM),
    ];
    map.extend(space.high_ram.map(ram));
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_do_not_overlap() {
        let map = memory_map(&AddressSpace::new(6 << 30, 46).unwrap());
        assert!(map.windows(2).all(|pair| pair[0].range.end() <= pair[1].range.start), "{map:x?}");
    }

    #[test]
    fn usable_memory_is_all_ram_but_the_reserved_part_of_the_first_mib() {
        let map = memory_map(&AddressSpace::new(6 << 30, 46).unwrap());
        let usable: u64 = map.iter().filter(|e| e.kind == Kind::Ram).map(|e| e.range.size).sum();
        assert_eq!(usable, (6 << 30) - (0x10_0000 - 0x9_fc00));
    }
}
