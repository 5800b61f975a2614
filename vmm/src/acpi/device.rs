//! One function for each kind of device; it appends the device's definition.

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, And, Arg, BufferData, Device, EISAName, Equal, Field,
    FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, IO, If, Interrupt, Local,
    Memory32Fixed, Method, Name, Notify, ONE, OpRegion, OpRegionSpace, PackageBuilder, Path,
    ResourceTemplate, Return, Store, Uuid, ZERO,
};
use devices::legacy::acpi_power::{EVENTS, PowerEvent};
use devices::legacy::{i8042, serial};

use super::{MmioDevice, PciHost, Platform};
use crate::memory::layout::Range;

/// What a notification of a button or of the generation ID carries.
const STATUS_CHANGED: u8 = 0x80;

/// An edge-triggered, active-high interrupt of its own.
fn interrupt(gsi: u32) -> Interrupt {
    Interrupt::new(true, true, false, false, gsi)
}

fn ports(base: u16, count: u8) -> IO {
    IO::new(base, base, 1, count)
}

fn name(name: &str, value: &dyn Aml) -> Name {
    Name::new(Path::new(name), value)
}

/// The generic event device: reads which events are pending and notifies whom they concern.
pub(super) fn event_device(platform: &Platform, sink: &mut Vec<u8>) {
    let base = platform.power_ports + EVENTS as u16;
    let pending = Path::new("EVNT");
    let fields = vec![FieldEntry::Named(*b"EVNT", 32)];
    let button = PowerEvent::PowerButton as u32;
    let generation = PowerEvent::GenerationChanged as u32;
    let (power_button, generation_id) = (Path::new("\\_SB_.PWRB"), Path::new("\\_SB_.VGEN"));
    let on_button = Notify::new(&power_button, &STATUS_CHANGED);
    let on_generation = Notify::new(&generation_id, &STATUS_CHANGED);
    let (local, scratch) = (Local(0), Local(1));
    let test_button = And::new(&scratch, &local, &button);
    let test_generation = And::new(&scratch, &local, &generation);
    let if_button = If::new(&test_button, vec![&on_button]);
    let if_generation = If::new(&test_generation, vec![&on_generation]);
    let read = Store::new(&local, &pending);
    let mut body: Vec<&dyn Aml> = vec![&read, &if_button];
    if platform.generation_id.is_some() {
        body.push(&if_generation);
    }
    Device::new(
        Path::new("GED_"),
        vec![
            &name("_HID", &"ACPI0013"),
            &name("_UID", &ZERO),
            &name("_CRS", &ResourceTemplate::new(vec![&interrupt(platform.event_gsi)])),
            &OpRegion::new(Path::new("EVTR"), OpRegionSpace::SystemIO, &base, &4u8),
            &Field::new(
                Path::new("EVTR"),
                FieldAccessType::DWord,
                FieldLockRule::NoLock,
                FieldUpdateRule::Preserve,
                fields,
            ),
            &Method::new(Path::new("_EVT"), 1, true, body),
        ],
    )
    .to_aml_bytes(sink);
}

pub(super) fn power_button(sink: &mut Vec<u8>) {
    Device::new(
        Path::new("PWRB"),
        vec![&name("_HID", &EISAName::new("PNP0C0C")), &name("_UID", &ZERO)],
    )
    .to_aml_bytes(sink);
}

pub(super) fn pvpanic(port: u16, sink: &mut Vec<u8>) {
    Device::new(
        Path::new("PEVT"),
        vec![
            &name("_HID", &"QEMU0001"),
            &name("_CRS", &ResourceTemplate::new(vec![&ports(port, 1)])),
        ],
    )
    .to_aml_bytes(sink);
}

/// The VM generation ID (Microsoft, "Virtual Machine Generation ID").
pub(super) fn generation_id(address: u64, sink: &mut Vec<u8>) {
    let mut halves = PackageBuilder::new();
    halves.add_element(&(address as u32));
    halves.add_element(&((address >> 32) as u32));
    Device::new(
        Path::new("VGEN"),
        vec![
            &name("_HID", &"VMGENCTR"),
            &name("_CID", &"VM_Gen_Counter"),
            &name("_DDN", &"VM_Gen_Counter"),
            &name("ADDR", &halves),
        ],
    )
    .to_aml_bytes(sink);
}

pub(super) fn serial(gsi: u32, sink: &mut Vec<u8>) {
    let port = ports(serial::PORT as u16, serial::PORTS as u8);
    Device::new(
        Path::new("COM1"),
        vec![
            &name("_HID", &EISAName::new("PNP0501")),
            &name("_UID", &ZERO),
            &name("_DDN", &"COM1"),
            &name("_CRS", &ResourceTemplate::new(vec![&interrupt(gsi), &port])),
        ],
    )
    .to_aml_bytes(sink);
}

pub(super) fn keyboard(gsi: u32, sink: &mut Vec<u8>) {
    let (data, status) = (ports(i8042::PORT as u16, 1), ports(i8042::PORT as u16 + 4, 1));
    Device::new(
        Path::new("KBD_"),
        vec![
            &name("_HID", &EISAName::new("PNP0303")),
            &name("_CRS", &ResourceTemplate::new(vec![&data, &status, &interrupt(gsi)])),
        ],
    )
    .to_aml_bytes(sink);
}

pub(super) fn virtio_mmio(number: usize, mmio: &MmioDevice, sink: &mut Vec<u8>) {
    let window = Memory32Fixed::new(true, mmio.window.start as u32, mmio.window.size as u32);
    // Several devices may share an interrupt.
    let line = Interrupt::new(true, true, false, true, mmio.gsi);
    Device::new(
        Path::new(&format!("V{number:03}")),
        vec![
            &name("_HID", &"LNRO0005"),
            &name("_UID", &number),
            &name("_CCA", &ONE),
            &name("_CRS", &ResourceTemplate::new(vec![&window, &line])),
        ],
    )
    .to_aml_bytes(sink);
}

/// Memory that belongs to the board and not to a device.
pub(super) fn reserve(range: Range, sink: &mut Vec<u8>) {
    let range = Memory32Fixed::new(true, range.start as u32, range.size as u32);
    Device::new(
        Path::new("MRES"),
        vec![
            &name("_HID", &EISAName::new("PNP0C02")),
            &name("_CRS", &ResourceTemplate::new(vec![&range])),
        ],
    )
    .to_aml_bytes(sink);
}

/// The host bridge. Its _DSM has the guest keep the addresses that the monitor gave the devices
/// (PCI Firmware Specification 3.3, section 4.6.5).
pub(super) fn pci_host(pci: &PciHost, sink: &mut Vec<u8>) {
    let window = |range: Range| (range.start, range.end() - 1);
    let (low, low_end) = window(pci.window_32);
    let cacheable = AddressSpaceCacheable::NotCacheable;
    let bus = AddressSpace::new_bus_number(0u16, 0u16);
    let config = ports(0xcf8, 8);
    let memory_32 = AddressSpace::new_memory(cacheable, true, low as u32, low_end as u32, None);
    let memory_64 = (pci.window_64.size > 0).then(|| {
        let (start, end) = window(pci.window_64);
        AddressSpace::new_memory(cacheable, true, start, end, None)
    });
    let mut resources: Vec<&dyn Aml> = vec![&bus, &memory_32];
    if pci.config_ports {
        resources.insert(1, &config);
    }
    if let Some(memory) = &memory_64 {
        resources.push(memory);
    }
    let (uuid, functions, nothing) = (
        Uuid::new("E5C937D0-3553-4D7A-9117-EA4D19C3434D"),
        BufferData::new(vec![0b10_0001]),
        BufferData::new(vec![0]),
    );
    let (return_functions, keep) = (Return::new(&functions), Return::new(&ZERO));
    let (is_query, is_boot_config) = (Equal::new(&Arg(2), &ZERO), Equal::new(&Arg(2), &5u8));
    let query = If::new(&is_query, vec![&return_functions]);
    let boot_config = If::new(&is_boot_config, vec![&keep]);
    let ours = Equal::new(&Arg(0), &uuid);
    let known = If::new(&ours, vec![&query, &boot_config]);
    let unknown = Return::new(&nothing);
    Device::new(
        Path::new("PCI0"),
        vec![
            &name("_HID", &EISAName::new("PNP0A08")),
            &name("_CID", &EISAName::new("PNP0A03")),
            &name("_SEG", &ZERO),
            &name("_BBN", &ZERO),
            &name("_UID", &ZERO),
            &name("_CCA", &ONE),
            &name("_CRS", &ResourceTemplate::new(resources)),
            &Method::new(Path::new("_DSM"), 4, false, vec![&known, &unknown]),
        ],
    )
    .to_aml_bytes(sink);
}
