//! The fixed table: a hardware-reduced machine and its power registers (ACPI 6.5, section 5.2.9).

use acpi_tables::fadt::{FADT, FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use devices::legacy::acpi_power::{RESET, RESET_VALUE, SLEEP_CONTROL, SLEEP_STATUS};

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, Platform};

/// IAPC boot architecture: there is a keyboard controller.
const KEYBOARD: u16 = 1 << 1;
/// IAPC boot architecture: there is no VGA, no ASPM, no CMOS clock.
const ABSENT: u16 = 1 << 2 | 1 << 4 | 1 << 5;

pub(super) fn fadt(platform: &Platform, dsdt: u64) -> FADT {
    let port = |offset: u64| {
        let address = u64::from(platform.power_ports) + offset;
        GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, address)
    };
    let keyboard = if platform.keyboard.is_some() { KEYBOARD } else { 0 };
    let mut table = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::Wbinvd)
        // The power button is a device, and there is no sleep button.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::Headless);
    table.iapc_boot_arch = (keyboard | ABSENT).into();
    table.reset_reg = port(RESET);
    table.reset_value = RESET_VALUE;
    table.sleep_control_reg = port(SLEEP_CONTROL);
    table.sleep_status_reg = port(SLEEP_STATUS);
    table.hypervisor_vendor_identity = u64::from_le_bytes(OEM_TABLE_ID).into();
    table.finalize()
}
