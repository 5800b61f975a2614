//! The front of the console.

use log::warn;
use zerocopy::IntoBytes;

use super::config::{Config, ConsoleSize, EMERG_WR, F_EMERG_WRITE, F_MULTIPORT, F_SIZE, NamedPort};
use super::handler::ConsoleHandler;
use crate::char::GuestEnd;
use crate::virtio::device::{
    Activation, DeviceType, StartQueueError, VirtioDevice, read_config_bytes,
};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::queue::{Queue, QueueState};

/// Descriptors of each queue.
const QUEUE_SIZE: u16 = 64;

/// What a console is made of, besides its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsoleConfig {
    /// Size of the terminal at first. Default: 80 columns, 25 rows.
    pub size: ConsoleSize,
}

/// A virtio console.
pub struct Console {
    config: Config,
    queue_sizes: Vec<u16>,
    stream: GuestEnd,
    handler: Remote<ConsoleHandler>,
    active: Option<Activation>,
}

impl Console {
    /// A console on `stream`, with `further` ports beside it, served on `event_loop`.
    pub fn new(
        config: ConsoleConfig,
        stream: GuestEnd,
        further: Vec<NamedPort>,
        event_loop: &LoopHandle,
    ) -> Result<Self, LoopGone> {
        // Two queues for each port, and two for control where there is more than the console.
        let pairs = if further.is_empty() { 1 } else { further.len() + 2 };
        let space = Config::new(config.size, further.len() as u32);
        let handler = event_loop.add(ConsoleHandler::new(stream.clone(), further))?;
        let queue_sizes = vec![QUEUE_SIZE; 2 * pairs];
        Ok(Self { config: space, queue_sizes, stream, handler, active: None })
    }

    /// Tells the guest that the terminal has another size now.
    pub fn resize(&mut self, size: ConsoleSize) {
        self.config.set_size(size);
        let Some(activation) = &self.active else { return };
        if activation.has(F_SIZE) {
            activation.interrupt.config_changed();
        }
        if activation.has(F_MULTIPORT)
            && self.handler.cast(move |handler, cx| handler.resize(size, cx)).is_err()
        {
            warn!("the event loop of the console has ended before its resize");
        }
    }
}

impl VirtioDevice for Console {
    fn device_type(&self) -> DeviceType {
        DeviceType::Console
    }

    fn features(&self) -> u64 {
        let several = self.queue_sizes.len() > 2;
        1 << F_SIZE | 1 << F_EMERG_WRITE | u64::from(several) << F_MULTIPORT
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
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
        // A loop that has ended has no driver to forget.
        let _ = self.handler.cast(|handler, _| handler.reset());
    }
}
