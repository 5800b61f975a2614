//! The front of the device.

use std::io;
use std::sync::Arc;

use log::warn;

use super::config::{QUEUE_SIZES, VIRTIO_VSOCK_F_STREAM, VsockConfig};
use super::handler::VsockHandler;
use super::metrics::VsockMetrics;
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::{Activation, DeviceType, Queue, QueueState, VirtioDevice};
use crate::vsock::HostSockets;

/// Why a socket device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VsockError {
    /// Not an id that a guest can have.
    #[error("{0} is not the context id of a guest: 3 to 4294967294 are")]
    Cid(u64),
    /// The system has no timer left.
    #[error("failed to make a timer for the socket device")]
    Timer(#[source] io::Error),
    /// There is no thread to run it.
    #[error("failed to run the socket device")]
    Loop(#[source] LoopGone),
}

/// A socket device (VIRTIO 1.3, 5.10), connected to unix sockets of the host.
pub struct Vsock {
    config: VsockConfig,
    handler: Remote<VsockHandler>,
    metrics: Arc<VsockMetrics>,
}

impl Vsock {
    /// A device whose handler runs on `event_loop`.
    pub fn new(
        config: VsockConfig,
        sockets: HostSockets,
        event_loop: &LoopHandle,
    ) -> Result<Self, VsockError> {
        if !config.has_valid_cid() {
            return Err(VsockError::Cid(config.guest_cid));
        }
        let handler = VsockHandler::new(&config, sockets).map_err(VsockError::Timer)?;
        let metrics = handler.metrics();
        let handler = event_loop.add(handler).map_err(VsockError::Loop)?;
        Ok(Self { config, handler, metrics })
    }

    /// What is counted.
    pub fn metrics(&self) -> Arc<VsockMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Tells the guest that its connections are gone. To be called after a restore, when the
    /// queues are running or before.
    pub fn announce_reset(&self) -> Result<(), LoopGone> {
        self.handler.call(VsockHandler::announce_reset)
    }

    /// Closes all connections and the listening socket, and removes its file. The device is of no
    /// use afterwards.
    pub fn close(self) {
        self.handler.remove();
    }
}

impl VirtioDevice for Vsock {
    fn device_type(&self) -> DeviceType {
        DeviceType::Vsock
    }

    fn features(&self) -> u64 {
        1 << VIRTIO_VSOCK_F_STREAM
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        self.config.read(offset, data);
    }

    fn activate(&mut self, _: Activation) {
        // Without any feature of a socket type stream sockets are meant, the only ones that there
        // are here (VIRTIO 1.3, 5.10.3).
    }

    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        self.handler.start_queue(queue)
    }

    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.handler.stop_queue(index)
    }

    fn reset(&mut self) {
        if self.handler.call(VsockHandler::reset).is_err() {
            warn!("the event loop of the socket device has ended before its reset");
        }
    }
}
