use devices::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::tables::lay_out;
use super::*;

const START: u64 = 0xe_0000;

fn platform() -> Platform {
    Platform {
        apic_ids: vec![0, 1, 300],
        pci: Some(PciHost {
            ecam: Range { start: 0xe000_0000, size: 1 << 20 },
            config_ports: true,
            window_32: Range { start: 0xc000_0000, size: 0x2000_0000 },
            window_64: Range { start: 1 << 32, size: 1 << 36 },
        }),
        mmio: vec![MmioDevice { window: Range { start: 0xf000_0000, size: 0x1000 }, gsi: 6 }],
        serial: Some(4),
        keyboard: Some(1),
        power_ports: 0x600,
        event_gsi: 5,
        pvpanic_port: 0x505,
        generation_id: Some(0xf_fff0),
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The table at a guest address, checked for its checksum.
fn table(bytes: &[u8], address: u64) -> &[u8] {
    let at = usize::try_from(address - START).unwrap();
    let table = &bytes[at..at + u32_at(bytes, at + 4) as usize];
    let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    assert_eq!(sum, 0, "checksum of {:?}", String::from_utf8_lossy(&table[..4]));
    table
}

/// The tables that the XSDT lists, by signature.
fn listed(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let xsdt = table(bytes, u64_at(bytes, 24));
    assert_eq!(&xsdt[..4], b"XSDT");
    xsdt[36..]
        .chunks_exact(8)
        .map(|entry| table(bytes, u64::from_le_bytes(entry.try_into().unwrap())))
        .map(|table| (&table[..4], table))
        .collect()
}

#[test]
fn rsdp_leads_to_every_table() {
    let bytes = lay_out(START, &platform());
    assert_eq!(&bytes[..8], b"RSD PTR ");
    assert_eq!(bytes[..36].iter().fold(0u8, |s, b| s.wrapping_add(*b)), 0);
    let signatures: Vec<_> = listed(&bytes).iter().map(|t| t.0).collect();
    assert_eq!(signatures, [b"FACP", b"APIC", b"MCFG"]);
}

#[test]
fn fixed_table_describes_a_reduced_machine_with_its_registers() {
    let bytes = lay_out(START, &platform());
    let tables = listed(&bytes);
    let fadt = tables[0].1;
    assert_eq!(u32_at(fadt, 112) & (1 << 20 | 1 << 10), 1 << 20 | 1 << 10);
    assert_eq!((u64_at(fadt, 116 + 4), fadt[128]), (0x602, 1), "reset register and value");
    assert_eq!(u64_at(fadt, 244 + 4), 0x600, "sleep control");
    assert_eq!(&table(&bytes, u64_at(fadt, 140))[..4], b"DSDT");
    assert_eq!(fadt[109] & 2, 2, "keyboard controller");
}

/// The structures of the interrupt controllers' table, each with its kind and length in front.
fn controllers(bytes: &[u8]) -> Vec<&[u8]> {
    let madt = listed(bytes)[1].1;
    let mut structures = Vec::new();
    let mut at = 44;
    while at < madt.len() {
        let length = usize::from(madt[at + 1]);
        structures.push(&madt[at..at + length]);
        at += length;
    }
    structures
}

#[test]
fn processor_beyond_a_byte_has_an_x2apic_entry() {
    let bytes = lay_out(START, &platform());
    let kinds: Vec<_> = controllers(&bytes).iter().map(|structure| structure[0]).collect();
    assert_eq!(kinds, [0, 0, 9, 1, 4]);
}

#[test]
fn all_254_processors_are_listed_as_enabled() {
    let bytes = lay_out(START, &Platform { apic_ids: (0..254).collect(), ..platform() });
    let structures = controllers(&bytes);
    // Kind 0: processor, APIC id, flags of 32 bits with "enabled" first (ACPI 6.5, 5.2.12.2).
    let processors = structures.iter().filter(|structure| structure[0] == 0);
    let listed: Vec<_> = processors.map(|p| (p[2], p[3], p[4] & 1)).collect();
    assert_eq!(listed, (0..254).map(|id| (id, id, 1)).collect::<Vec<_>>());
}

#[test]
fn machine_without_pci_has_no_configuration_window() {
    let bytes = lay_out(START, &Platform { pci: None, ..platform() });
    let signatures: Vec<_> = listed(&bytes).iter().map(|t| t.0).collect();
    assert_eq!(signatures, [b"FACP", b"APIC"]);
}

#[test]
fn tables_of_the_largest_machine_fit_their_area() {
    let mmio = MmioDevice { window: Range { start: 0xf000_0000, size: 0x1000 }, gsi: 6 };
    let largest = Platform { apic_ids: (0..254).collect(), mmio: vec![mmio; 30], ..platform() };
    assert!(lay_out(START, &largest).len() < 0x1_0000);
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let ram = GuestRam::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    let error = write_tables(&ram, Range { start: START, size: 64 }, &platform()).unwrap_err();
    assert!(matches!(error, TablesError::NoRoom { room: 64, .. }));
    let area = Range { start: START, size: 0x2_0000 };
    write_tables(&ram, area, &platform()).unwrap();
    let mut signature = [0; 8];
    ram.read_slice(&mut signature, GuestAddress(START)).unwrap();
    assert_eq!(&signature, b"RSD PTR ");
}

#[test]
fn host_bridge_has_configuration_ports_only_where_there_are_any() {
    // An I/O port descriptor (ACPI 6.5, 6.4.2.5) of eight ports from 0xcf8.
    let ports = [0x47, 1, 0xf8, 0x0c, 0xf8, 0x0c];
    for config_ports in [true, false] {
        let pci = platform().pci.map(|pci| PciHost { config_ports, ..pci });
        let bytes = lay_out(START, &Platform { pci, ..platform() });
        let dsdt = table(&bytes, u64_at(listed(&bytes)[0].1, 140));
        assert_eq!(dsdt.windows(ports.len()).any(|w| w == ports), config_ports);
    }
}

/// For a look with a disassembler: `DSDT_OUT=/tmp/dsdt.aml cargo test -p vmm dsdt_for_a_disassembler`.
#[test]
fn dsdt_for_a_disassembler_has_its_devices() {
    let bytes = lay_out(START, &platform());
    let tables = listed(&bytes);
    let dsdt = table(&bytes, u64_at(tables[0].1, 140));
    if let Some(path) = std::env::var_os("DSDT_OUT") {
        std::fs::write(path, dsdt).unwrap();
    }
    for name in [b"PCI0", b"COM1", b"GED_", b"PWRB", b"VGEN", b"PEVT", b"KBD_", b"V000", b"_S5_"] {
        assert!(dsdt.windows(4).any(|w| w == name), "{}", String::from_utf8_lossy(name));
    }
}
