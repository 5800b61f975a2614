//! The devices of the machine, in ACPI's language (ACPI 6.5, section 19).

use acpi_tables::Aml;
use acpi_tables::aml::{Name, PackageBuilder, Path, Scope};
use devices::legacy::acpi_power::SLEEP_TYPE_S5;

use super::{Platform, device};

/// The definition block, without the table's header.
pub(super) fn dsdt(platform: &Platform) -> Vec<u8> {
    let mut devices = Vec::new();
    device::event_device(platform, &mut devices);
    device::power_button(&mut devices);
    device::pvpanic(platform.pvpanic_port, &mut devices);
    if let Some(address) = platform.generation_id {
        device::generation_id(address, &mut devices);
    }
    if let Some(gsi) = platform.serial {
        device::serial(gsi, &mut devices);
    }
    if let Some(gsi) = platform.keyboard {
        device::keyboard(gsi, &mut devices);
    }
    if let Some(pci) = &platform.pci {
        device::pci_host(pci, &mut devices);
        device::reserve(pci.ecam, &mut devices);
    }
    for (number, mmio) in platform.mmio.iter().enumerate() {
        device::virtio_mmio(number, mmio, &mut devices);
    }
    let mut block = Scope::raw(Path::new("_SB_"), devices);
    let mut s5 = PackageBuilder::new();
    s5.add_element(&SLEEP_TYPE_S5);
    Name::new(Path::new("_S5_"), &s5).to_aml_bytes(&mut block);
    block
}
