//! The front of the device.

use std::sync::Arc;

use log::warn;
use zerocopy::IntoBytes;

use super::config::{ConfigSpace, FsConfig};
use super::handler::FsHandler;
use crate::fs::{FsMetrics, Share};
use crate::virtio::device::{StartQueueError, read_config_bytes};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::{Activation, DeviceType, Queue, QueueState, VirtioDevice};

/// Why a file system device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NewFsError {
    /// It would have no queue for requests.
    #[error("a file system device needs at least one queue")]
    NoQueue,
    /// There is no thread to run it.
    #[error("failed to run the file system device")]
    Loop(#[source] LoopGone),
}

/// A file system device over a [`Share`].
pub struct Fs {
    space: ConfigSpace,
    queue_sizes: Vec<u16>,
    handler: Remote<FsHandler>,
    metrics: Arc<FsMetrics>,
}

impl Fs {
    /// A device whose handler runs on `event_loop`, which should be its own. The guest can have
    /// `node_limit` files looked up at a time.
    ///
    /// # Errors
    /// See [`NewFsError`].
    pub fn new(
        config: &FsConfig,
        share: Share,
        node_limit: usize,
        event_loop: &LoopHandle,
    ) -> Result<Self, NewFsError> {
        if config.queues == 0 {
            return Err(NewFsError::NoQueue);
        }
        let queue_sizes = config.queue_sizes();
        let handler = FsHandler::new(share, queue_sizes.len(), node_limit);
        let metrics = Arc::clone(handler.metrics());
        let handler = event_loop.add(handler).map_err(NewFsError::Loop)?;
        Ok(Self { space: ConfigSpace::new(config), queue_sizes, handler, metrics })
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<FsMetrics> {
        &self.metrics
    }
}

impl VirtioDevice for Fs {
    fn device_type(&self) -> DeviceType {
        DeviceType::Fs
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(self.space.as_bytes(), offset, data);
    }

    fn activate(&mut self, _: Activation) {}

    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        self.handler.start_queue(queue)
    }

    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.handler.stop_queue(index)
    }

    fn reset(&mut self) {
        if self.handler.call(|handler, _| handler.reset()).is_err() {
            warn!("the event loop of the file system device has ended before its reset");
        }
    }
}
