//! The interrupt controllers (ACPI 6.5, section 5.2.12).

use acpi_tables::madt::{
    EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic,
};
use acpi_tables::{Aml, AmlSink};
use zerocopy::{Immutable, IntoBytes};

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, Platform};
use crate::memory::layout;

/// Local APIC NMI: which input of every local APIC is the NMI (5.2.12.7).
#[repr(C, packed)]
#[derive(Clone, Copy, IntoBytes, Immutable)]
struct LocalApicNmi {
    kind: u8,
    length: u8,
    /// 0xff: all.
    processor: u8,
    flags: [u8; 2],
    input: u8,
}

/// Processor local x2APIC, for ids that do not fit a byte (5.2.12.12).
#[repr(C, packed)]
#[derive(Clone, Copy, IntoBytes, Immutable)]
struct LocalX2Apic {
    kind: u8,
    length: u8,
    reserved: [u8; 2],
    apic_id: [u8; 4],
    flags: [u8; 4],
    processor: [u8; 4],
}

impl Aml for LocalApicNmi {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(self.as_bytes());
    }
}

impl Aml for LocalX2Apic {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(self.as_bytes());
    }
}

pub(super) fn madt(platform: &Platform) -> MADT {
    let lapic = LocalInterruptController::Address(layout::LAPIC as u32);
    let mut table = MADT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION, lapic);
    for (processor, apic_id) in (0u32..).zip(&platform.apic_ids) {
        match (u8::try_from(processor), u8::try_from(*apic_id)) {
            // 255 is the broadcast id.
            (Ok(processor), Ok(apic_id)) if apic_id < 255 => {
                let status = EnabledStatus::Enabled;
                table.add_structure(ProcessorLocalApic::new(processor, apic_id, status));
            }
            _ => table.add_structure(LocalX2Apic {
                kind: 9,
                length: 16,
                reserved: [0; 2],
                apic_id: apic_id.to_le_bytes(),
                flags: 1u32.to_le_bytes(),
                processor: processor.to_le_bytes(),
            }),
        }
    }
    table.add_structure(IoApic::new(0, layout::IOAPIC as u32, 0));
    table.add_structure(LocalApicNmi {
        kind: 4,
        length: 6,
        processor: 0xff,
        flags: [0; 2],
        input: 1,
    });
    table
}
