//! Features, configuration space (VIRTIO 1.3 §5.5.3, §5.5.4) and counters.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::metrics::Counter;

/// VIRTIO_BALLOON_F_STATS_VQ.
pub(super) const F_STATS_VQ: u32 = 1;
/// VIRTIO_BALLOON_F_DEFLATE_ON_OOM.
pub(super) const F_DEFLATE_ON_OOM: u32 = 2;
/// VIRTIO_BALLOON_F_FREE_PAGE_HINT.
pub(super) const F_FREE_PAGE_HINT: u32 = 3;
/// VIRTIO_BALLOON_F_PAGE_POISON.
pub(super) const F_PAGE_POISON: u32 = 4;
/// VIRTIO_BALLOON_F_PAGE_REPORTING.
pub(super) const F_REPORTING: u32 = 5;

/// A page of the balloon, whatever the host's pages are: 4 KiB.
pub(super) const PAGE_SHIFT: u32 = 12;

/// Length of the configuration space in bytes.
const CONFIG_LEN: usize = 16;

/// The configuration space, shared by front and back.
#[derive(Debug, Default)]
pub(super) struct Registers {
    /// Pages that the guest is asked for (`num_pages`).
    pub(super) target: AtomicU32,
    /// Pages that it gave (`actual`).
    pub(super) actual: AtomicU32,
    /// The host's hinting command (`free_page_hint_cmd_id`).
    pub(super) hint_command: AtomicU32,
    /// What the guest's free pages are filled with (`poison_val`).
    pub(super) poison: AtomicU32,
}

/// Offsets of the fields that the driver writes.
const ACTUAL: u64 = 4;
const POISON: u64 = 12;

impl Registers {
    pub(super) fn bytes(&self) -> [u8; CONFIG_LEN] {
        let mut bytes = [0; CONFIG_LEN];
        let fields = [&self.target, &self.actual, &self.hint_command, &self.poison];
        for (to, field) in bytes.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.load(Ordering::Relaxed).to_le_bytes());
        }
        bytes
    }

    /// Takes what of `data`, written at `offset`, falls on fields of the driver.
    pub(super) fn write(&self, offset: u64, data: &[u8]) {
        for (field, start) in [(&self.actual, ACTUAL), (&self.poison, POISON)] {
            let mut bytes = field.load(Ordering::Relaxed).to_le_bytes();
            for (to, at) in bytes.iter_mut().zip(start..) {
                let byte = at.checked_sub(offset).and_then(|i| data.get(usize::try_from(i).ok()?));
                if let Some(byte) = byte {
                    *to = *byte;
                }
            }
            field.store(u32::from_le_bytes(bytes), Ordering::Relaxed);
        }
    }
}

/// What a balloon counts.
#[derive(Debug, Default)]
pub struct BalloonMetrics {
    /// Lists of pages that the guest gave up.
    pub inflates: Counter,
    /// Lists of pages that the guest took back.
    pub deflates: Counter,
    /// Statistics received.
    pub stats_updates: Counter,
    /// Bytes given up by inflating that went back to the host.
    pub inflated_bytes: Counter,
    /// Bytes reported as free that went back to the host.
    pub reported_bytes: Counter,
    /// Bytes hinted as free that went back to the host.
    pub hinted_bytes: Counter,
    /// Pages that the guest named and that are no RAM.
    pub invalid_pages: Counter,
    /// Ranges that the host would not take back.
    pub release_failures: Counter,
}
