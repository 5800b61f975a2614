//! The front of the entropy device.

use std::io;
use std::time::Instant;

use super::handler::EntropyHandler;
use crate::rate_limiter::{LimiterConfig, LimiterUpdate, RateLimiter};
use crate::virtio::device::{Activation, DeviceType, StartQueueError, VirtioDevice};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::queue::{Queue, QueueState};

const QUEUE_SIZES: [u16; 1] = [256];

/// What an entropy device is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntropyConfig {
    /// Limits on what the guest draws.
    pub limits: LimiterConfig,
}

/// Why an entropy device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EntropyError {
    /// The host gave no timer.
    #[error("failed to make the timer of the entropy device's limiter")]
    Timer(#[source] io::Error),
    /// The loop that should run it has ended.
    #[error("failed to add the entropy device to an event loop")]
    Loop(#[source] LoopGone),
}

/// A virtio entropy device. It has no features and no configuration space (VIRTIO 1.3 §5.4.3).
pub struct Entropy {
    handler: Remote<EntropyHandler>,
}

impl Entropy {
    /// A device whose requests are served on `event_loop`.
    pub fn new(config: EntropyConfig, event_loop: &LoopHandle) -> Result<Self, EntropyError> {
        let limiter = RateLimiter::new(config.limits, Instant::now());
        let handler = EntropyHandler::new(limiter).map_err(EntropyError::Timer)?;
        Ok(Self { handler: event_loop.add(handler).map_err(EntropyError::Loop)? })
    }

    /// Changes the limits of the running device.
    pub fn update_limits(&self, update: LimiterUpdate) -> Result<(), LoopGone> {
        self.handler.cast(move |handler, cx| handler.update_limits(update, cx))
    }
}

impl VirtioDevice for Entropy {
    fn device_type(&self) -> DeviceType {
        DeviceType::Entropy
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, _: u64, _: &mut [u8]) {}

    fn activate(&mut self, _: Activation) {}

    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        self.handler.start_queue(queue)
    }

    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.handler.stop_queue(index)
    }

    fn reset(&mut self) {}
}
