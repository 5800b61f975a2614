//! What the queues of a block device share with each other and with its front.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::config::SERIAL_LEN;
use super::metrics::BlockMetrics;
use crate::rate_limiter::SharedLimiter;

#[derive(Debug)]
pub(super) struct Shared {
    pub serial: [u8; SERIAL_LEN],
    pub limiter: SharedLimiter,
    pub metrics: Arc<BlockMetrics>,
    features: AtomicU64,
    write_through: AtomicBool,
}

impl Shared {
    pub(super) fn new(serial: [u8; SERIAL_LEN], limiter: SharedLimiter) -> Self {
        Self {
            serial,
            limiter,
            metrics: Arc::default(),
            features: AtomicU64::new(0),
            write_through: AtomicBool::new(false),
        }
    }

    /// The negotiated features.
    pub(super) fn features(&self) -> u64 {
        self.features.load(Ordering::Relaxed)
    }

    pub(super) fn set_features(&self, features: u64) {
        self.features.store(features, Ordering::Relaxed);
    }

    /// Whether a write must be durable before it is completed.
    pub(super) fn write_through(&self) -> bool {
        self.write_through.load(Ordering::Relaxed)
    }

    pub(super) fn set_write_through(&self, write_through: bool) {
        self.write_through.store(write_through, Ordering::Relaxed);
    }
}
