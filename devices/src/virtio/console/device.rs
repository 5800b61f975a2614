//! The front of the console.

use super::config::{Config, ConsoleSize, EMERG_WR, F_EMERG_WRITE, F_SIZE};
use super::handler::ConsoleHandler;
use crate::char::GuestEnd;
use crate::virtio::device::{
    Activation, DeviceType, StartQueueError, VirtioDevice, read_config_bytes,
};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::queue::{Queue, QueueState};
use zerocopy::IntoBytes;

/// Receive and transmit.
const QUEUE_SIZES: [u16; 2] = [64, 64];

/// What a console is made of, besides its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsoleConfig {
    /// Size of the terminal at first. Default: 80 columns, 25 rows.
    pub size: ConsoleSize,
}

/// A virtio console.
pub struct Console {
    config: Config,
    stream: GuestEnd,
    handler: Remote<ConsoleHandler>,
    active: Option<Activation>,
}

impl Console {
    /// A console on `stream`, served on `event_loop`.
    pub fn new(
        config: ConsoleConfig,
        stream: GuestEnd,
        event_loop: &LoopHandle,
    ) -> Result<Self, LoopGone> {
        let handler = event_loop.add(ConsoleHandler::new(stream.clone()))?;
        Ok(Self { config: config.size.into(), stream, handler, active: None })
    }

    /// Tells the guest that the terminal has another size now.
    pub fn resize(&mut self, size: ConsoleSize) {
        self.config = size.into();
        if let Some(activation) = &self.active
            && activation.has(F_SIZE)
        {
            activation.interrupt.config_changed();
        }
    }
}

impl VirtioDevice for Console {
    fn device_type(&self) -> DeviceType {
        DeviceType::Console
    }

    fn features(&self) -> u64 {
        1 << F_SIZE | 1 << F_EMERG_WRITE
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(self.config.as_bytes(), offset, data);
    }

    /// An emergency write takes the low byte (VIRTIO 1.3 §5.3.4), at any time.
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if let (EMERG_WR, Some(byte)) = (offset, data.first()) {
            self.stream.write(&[*byte]);
        }
    }

    fn activate(&mut self, activation: Activation) {
        self.active = Some(activation);
    }

    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        self.handler.start_queue(queue)
    }

    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.handler.stop_queue(index)
    }

    fn reset(&mut self) {
        self.active = None;
    }
}
