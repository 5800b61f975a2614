//! The part of a transport that workers touch without its lock.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use log::warn;
use virtio_bindings::virtio_config::{VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_NEEDS_RESET};

use crate::metrics::Counter;

/// Device status and configuration generation.
#[derive(Debug, Default)]
pub(super) struct Shared {
    status: AtomicU8,
    generation: AtomicU32,
    /// Times that the device asked for a reset.
    pub(super) resets_needed: Counter,
}

impl Shared {
    pub(super) fn status(&self) -> u8 {
        self.status.load(Ordering::Acquire)
    }

    /// Sets bits. The device may set its own meanwhile, which stays.
    pub(super) fn add_status(&self, bits: u8) {
        self.status.fetch_or(bits, Ordering::AcqRel);
    }

    pub(super) fn clear_status(&self) {
        self.status.store(0, Ordering::Release);
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Sets DEVICE_NEEDS_RESET; says whether the driver is to be told (VIRTIO 1.3, 2.1.2).
    pub(super) fn need_reset(&self, reason: &str) -> bool {
        self.resets_needed.increment();
        let old = self.status.fetch_or(VIRTIO_CONFIG_S_NEEDS_RESET as u8, Ordering::AcqRel);
        let first = u32::from(old) & VIRTIO_CONFIG_S_NEEDS_RESET == 0;
        if first && self.resets_needed.get().is_power_of_two() {
            warn!("virtio device needs a reset: {reason}");
        }
        first && u32::from(old) & VIRTIO_CONFIG_S_DRIVER_OK != 0
    }
}
