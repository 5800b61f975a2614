//! The boot processor's segments and the table that describes them.

use kvm_bindings::kvm_segment;

/// Selector of the code segment, as both boot protocols want it.
pub const CODE: u16 = 0x10;
/// Selector of the data segment, as both boot protocols want it.
pub const DATA: u16 = 0x18;
/// Selector of the task state segment, needed to enter a guest on VMX.
pub const TASK: u16 = 0x20;

/// Type of an execute/read code segment that has been accessed.
const TYPE_CODE: u8 = 0xb;
/// Type of a read/write data segment that has been accessed.
const TYPE_DATA: u8 = 0x3;
/// Type of a busy 32- or 64-bit task state segment.
const TYPE_TASK: u8 = 0xb;

/// How wide code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32-bit protected mode.
    Bits32,
    /// 64-bit long mode.
    Bits64,
}

/// A flat code segment.
pub fn code(width: Width) -> kvm_segment {
    kvm_segment {
        type_: TYPE_CODE,
        db: u8::from(width == Width::Bits32),
        l: u8::from(width == Width::Bits64),
        ..flat(CODE)
    }
}

/// A flat data segment.
pub fn data() -> kvm_segment {
    kvm_segment { type_: TYPE_DATA, db: 1, ..flat(DATA) }
}

/// An empty task state segment.
pub fn task() -> kvm_segment {
    kvm_segment { limit: 0x67, type_: TYPE_TASK, s: 0, g: 0, ..flat(TASK) }
}

fn flat(selector: u16) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        present: 1,
        dpl: 0,
        s: 1,
        g: 1,
        ..kvm_segment::default()
    }
}

/// The descriptor of `segment` as the table in memory holds it (Intel SDM 3A, 3.4.5).
pub fn descriptor(segment: &kvm_segment) -> u64 {
    let limit = u64::from(if segment.g == 1 { segment.limit >> 12 } else { segment.limit });
    let access = u64::from(segment.type_)
        | u64::from(segment.s) << 4
        | u64::from(segment.dpl) << 5
        | u64::from(segment.present) << 7;
    let flags = u64::from(segment.avl)
        | u64::from(segment.l) << 1
        | u64::from(segment.db) << 2
        | u64::from(segment.g) << 3;
    let base = segment.base;
    limit & 0xffff
        | (base & 0xff_ffff) << 16
        | access << 40
        | (limit >> 16 & 0xf) << 48
        | flags << 52
        | (base >> 24 & 0xff) << 56
}

/// The whole table, from selector 0.
pub fn table(width: Width) -> [u64; 5] {
    [0, 0, descriptor(&code(width)), descriptor(&data()), descriptor(&task())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_the_manuals() {
        assert_eq!(descriptor(&code(Width::Bits64)), 0x00af_9b00_0000_ffff);
        assert_eq!(descriptor(&code(Width::Bits32)), 0x00cf_9b00_0000_ffff);
        assert_eq!(descriptor(&data()), 0x00cf_9300_0000_ffff);
        assert_eq!(descriptor(&task()), 0x0000_8b00_0000_0067);
    }

    #[test]
    fn selectors_point_at_their_descriptors() {
        let table = table(Width::Bits64);
        assert_eq!(table[usize::from(CODE / 8)], descriptor(&code(Width::Bits64)));
        assert_eq!(table[usize::from(DATA / 8)], descriptor(&data()));
        assert_eq!(table[usize::from(TASK / 8)], descriptor(&task()));
    }
}
