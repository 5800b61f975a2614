//! What a transport asks of a virtio device.

use std::io;
use std::sync::Arc;

use super::queue::{Queue, QueueState};

/// Virtio device types (VIRTIO 1.3, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum DeviceType {
    /// Network card.
    Net = 1,
    /// Block device.
    Block = 2,
    /// Console.
    Console = 3,
    /// Entropy source.
    Entropy = 4,
    /// Memory balloon.
    Balloon = 5,
    /// Socket device.
    Vsock = 19,
    /// File system.
    Fs = 26,
}

impl DeviceType {
    /// Lower-case name, as in thread and metric names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Block => "block",
            Self::Console => "console",
            Self::Entropy => "entropy",
            Self::Balloon => "balloon",
            Self::Vsock => "vsock",
            Self::Fs => "fs",
        }
    }
}

/// How a device signals the driver. Transports implement it.
pub trait Interrupt: Send + Sync {
    /// Buffers of queue `index` were used (VIRTIO 1.3, 2.7.7).
    fn queue_used(&self, index: u16);

    /// The configuration space changed (VIRTIO 1.3, 2.3): bumps the generation as well.
    fn config_changed(&self);

    /// The device met an error that only a reset mends: sets DEVICE_NEEDS_RESET (VIRTIO 1.3,
    /// 2.1.2).
    fn needs_reset(&self, reason: &str);
}

/// What a device learns when the driver has set DRIVER_OK.
#[derive(Clone)]
pub struct Activation {
    /// Negotiated feature bits.
    pub features: u64,
    /// For configuration changes; queues carry their own.
    pub interrupt: Arc<dyn Interrupt>,
}

impl Activation {
    /// Whether the feature of bit number `bit` was negotiated.
    pub fn has(&self, bit: u32) -> bool {
        self.features & (1 << bit) != 0
    }
}

/// Why a device cannot start a queue.
#[derive(Debug, thiserror::Error)]
pub enum StartQueueError {
    /// A host resource is missing.
    #[error("failed to {operation} for queue {index}")]
    Host {
        /// What was tried.
        operation: &'static str,
        /// Queue index.
        index: u16,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The event loop that runs the device has ended.
    #[error("the event loop of queue {index} has ended")]
    EventLoopGone {
        /// Queue index.
        index: u16,
    },
}

/// The front of a virtio device: identity, features, configuration space and the life of its
/// queues. The transport core calls it under the device's lock, in this order:
///
/// ```text
///            activate          start_queue(0..n)          stop_queue(i)
///  reset ───────────► active ───────────────────► running ─────────────► running, less queue i
///    ▲                                               │
///    └───────────────────── reset ◄──────────────────┘
/// ```
///
/// Pause, snapshot and queue reset are made of `stop_queue` and `start_queue`.
pub trait VirtioDevice: Send {
    /// The type of device.
    fn device_type(&self) -> DeviceType;

    /// Feature bits offered, without the transport's and ring's own (VERSION_1, EVENT_IDX,
    /// INDIRECT_DESC and RING_RESET are added by the transport core).
    fn features(&self) -> u64;

    /// The largest size of each queue, in descriptors: powers of two.
    fn queue_sizes(&self) -> &[u16];

    /// Fills `data` from the configuration space at `offset`. Bytes beyond its end stay as they
    /// are (zero).
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// Takes a write to the configuration space; what is read-only stays.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        let _ = (offset, data);
    }

    /// The driver is ready, with these features. Queues start next.
    fn activate(&mut self, activation: Activation);

    /// Begins to serve a queue. Requests may already wait in it.
    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError>;

    /// Ends serving queue `index`: requests in flight are completed first (their buffers used,
    /// the driver signalled), so that nothing is lost and nothing is written afterwards. Returns
    /// where the queue stands; `None` if it was not running.
    fn stop_queue(&mut self, index: u16) -> Option<QueueState>;

    /// Returns to the state before [`activate`](Self::activate). All queues have been stopped.
    fn reset(&mut self);
}

/// Reads `data` from the bytes of a configuration space.
pub fn read_config_bytes(config: &[u8], offset: u64, data: &mut [u8]) {
    let Some(rest) = usize::try_from(offset).ok().and_then(|o| config.get(o..)) else { return };
    for (to, from) in data.iter_mut().zip(rest) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_read_past_the_end_leaves_the_rest_alone() {
        let mut data = [0; 4];
        read_config_bytes(&[1, 2, 3], 1, &mut data);
        assert_eq!(data, [2, 3, 0, 0]);
        read_config_bytes(&[1, 2, 3], u64::MAX, &mut data);
        assert_eq!(data, [2, 3, 0, 0]);
    }
}
