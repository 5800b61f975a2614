//! Virtio: devices, their queues and the transports that present them (VIRTIO 1.3).
//!
//! A device is split in two. Its front, a [`VirtioDevice`], belongs to a transport: it answers for
//! identity, features and configuration space. Its back, a [`event_loop::Handler`], owns the
//! queues and the host's file descriptors and runs on an event loop; it is a plain state machine
//! that tests drive without threads. [`event_loop::Remote`] connects the two.

pub mod balloon;
pub mod block;
pub mod buffers;
pub mod console;
pub mod device;
pub mod entropy;
pub mod event_loop;

#[cfg(any(test, feature = "fake-driver"))]
pub mod fake_driver;
pub mod fs;
pub mod net;
pub mod queue;
pub mod transport;
pub mod vsock;

pub use buffers::Buffers;
pub use device::{Activation, DeviceType, Interrupt, VirtioDevice};
pub use queue::{Chain, Queue, QueueState};
