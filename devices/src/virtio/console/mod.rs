//! The console device (VIRTIO 1.3 §5.3), with one port.
//!
//! It moves bytes between two queues and a [character stream](crate::char). What the guest writes
//! is held back while the stream's backend is busy, and input while the guest offers no buffers;
//! neither takes memory.

mod config;
mod device;
mod handler;

pub use config::ConsoleSize;
pub use device::{Console, ConsoleConfig};
pub use handler::ConsoleHandler;

#[cfg(test)]
mod tests;
