//! The common configuration structure of a virtio PCI function (VIRTIO 1.3, section 4.1.4.3).
//!
//! Fields are accessed at their own width; addresses also as two halves. Anything else reads as
//! zero and is not written.

use std::sync::atomic::Ordering;

use super::core::Core;
use super::mmio::{set_high, set_low};
use super::pci::PciInterrupt;

const DEVICE_FEATURE_SELECT: u64 = 0x00;
const DEVICE_FEATURE: u64 = 0x04;
const DRIVER_FEATURE_SELECT: u64 = 0x08;
const DRIVER_FEATURE: u64 = 0x0c;
const CONFIG_MSIX_VECTOR: u64 = 0x10;
const NUM_QUEUES: u64 = 0x12;
const DEVICE_STATUS: u64 = 0x14;
const CONFIG_GENERATION: u64 = 0x15;
const QUEUE_SELECT: u64 = 0x16;
const QUEUE_SIZE: u64 = 0x18;
const QUEUE_MSIX_VECTOR: u64 = 0x1a;
const QUEUE_ENABLE: u64 = 0x1c;
const QUEUE_NOTIFY_OFF: u64 = 0x1e;
const QUEUE_DESC: u64 = 0x20;
const QUEUE_DRIVER: u64 = 0x28;
const QUEUE_DEVICE: u64 = 0x30;
const QUEUE_NOTIF_CONFIG_DATA: u64 = 0x38;
const QUEUE_RESET: u64 = 0x3a;

/// Reads the field at `offset` into `data`, which holds zeroes.
pub(super) fn read(core: &Core, interrupt: &PciInterrupt, offset: u64, data: &mut [u8]) {
    match data.len() {
        1 => {
            data[0] = match offset {
                DEVICE_STATUS => core.shared.status(),
                CONFIG_GENERATION => core.shared.generation() as u8,
                _ => 0,
            }
        }
        2 => data.copy_from_slice(&read_u16(core, interrupt, offset).to_le_bytes()),
        4 => data.copy_from_slice(&read_u32(core, offset).to_le_bytes()),
        8 => data.copy_from_slice(&read_address(core, offset).to_le_bytes()),
        _ => {}
    }
}

fn read_u16(core: &Core, interrupt: &PciInterrupt, offset: u64) -> u16 {
    match offset {
        CONFIG_MSIX_VECTOR => interrupt.config_vector.load(Ordering::Acquire),
        NUM_QUEUES => core.queue_count(),
        QUEUE_SELECT => core.queue_select,
        QUEUE_SIZE => core.queue_layout().size,
        QUEUE_MSIX_VECTOR => interrupt
            .queue_vectors
            .get(usize::from(core.queue_select))
            .map_or(super::pci::NO_VECTOR, |v| v.load(Ordering::Acquire)),
        QUEUE_ENABLE => u16::from(core.queue_enabled()),
        // Doorbells lie in the order of queues.
        QUEUE_NOTIFY_OFF | QUEUE_NOTIF_CONFIG_DATA if core.queue_max_size() > 0 => {
            core.queue_select
        }
        _ => 0,
    }
}

fn read_u32(core: &Core, offset: u64) -> u32 {
    match offset {
        DEVICE_FEATURE_SELECT => core.device_features_select,
        DEVICE_FEATURE => core.device_features(),
        DRIVER_FEATURE_SELECT => core.driver_features_select,
        DRIVER_FEATURE => core.driver_features(),
        QUEUE_DESC..QUEUE_NOTIF_CONFIG_DATA if offset.is_multiple_of(8) => {
            read_address(core, offset) as u32
        }
        QUEUE_DESC..QUEUE_NOTIF_CONFIG_DATA if offset.is_multiple_of(4) => {
            (read_address(core, offset - 4) >> 32) as u32
        }
        _ => 0,
    }
}

fn read_address(core: &Core, offset: u64) -> u64 {
    let layout = core.queue_layout();
    match offset {
        QUEUE_DESC => layout.descriptors,
        QUEUE_DRIVER => layout.available,
        QUEUE_DEVICE => layout.used,
        _ => 0,
    }
}

/// Writes `data` to the field at `offset`.
pub(super) fn write(core: &mut Core, interrupt: &PciInterrupt, offset: u64, data: &[u8]) {
    match *data {
        [value] if offset == DEVICE_STATUS => core.set_status(value),
        [a, b] => write_u16(core, interrupt, offset, u16::from_le_bytes([a, b])),
        [a, b, c, d] => write_u32(core, offset, u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => {
            write_u32(core, offset, u32::from_le_bytes([a, b, c, d]));
            write_u32(core, offset + 4, u32::from_le_bytes([e, f, g, h]));
        }
        _ => {}
    }
}

/// Whether such a write resets the device (VIRTIO 1.3, 4.1.4.3.1).
pub(super) fn is_reset(offset: u64, data: &[u8]) -> bool {
    offset == DEVICE_STATUS && data == [0]
}

fn write_u16(core: &mut Core, interrupt: &PciInterrupt, offset: u64, value: u16) {
    match offset {
        CONFIG_MSIX_VECTOR => interrupt.set_vector(&interrupt.config_vector, value),
        QUEUE_SELECT => core.queue_select = value,
        QUEUE_SIZE => core.set_queue_size(value),
        QUEUE_MSIX_VECTOR => {
            if let Some(register) = interrupt.queue_vectors.get(usize::from(core.queue_select)) {
                interrupt.set_vector(register, value);
            }
        }
        QUEUE_ENABLE if value == 1 => core.enable_queue(),
        QUEUE_RESET if value == 1 => core.reset_selected_queue(),
        _ => {}
    }
}

fn write_u32(core: &mut Core, offset: u64, value: u32) {
    match offset {
        DEVICE_FEATURE_SELECT => core.device_features_select = value,
        DRIVER_FEATURE_SELECT => core.driver_features_select = value,
        DRIVER_FEATURE => core.set_driver_features(value),
        QUEUE_DESC..QUEUE_NOTIF_CONFIG_DATA if offset.is_multiple_of(4) => {
            core.set_queue_layout(|layout| {
                let address = match offset & !7 {
                    QUEUE_DESC => &mut layout.descriptors,
                    QUEUE_DRIVER => &mut layout.available,
                    _ => &mut layout.used,
                };
                if offset.is_multiple_of(8) {
                    set_low(address, value);
                } else {
                    set_high(address, value);
                }
            });
        }
        _ => {}
    }
}
