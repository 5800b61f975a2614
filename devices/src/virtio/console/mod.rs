//! The console device (VIRTIO 1.3 §5.3): the console, and further ports with names.
//!
//! It moves bytes between the two queues of each port and a [character stream](crate::char). What
//! the guest writes is held back while the stream's backend is busy, and input while the guest
//! offers no buffers or has not opened the port; neither takes memory.

mod config;
mod control;
mod device;
mod handler;
mod port;

pub use config::{ConsoleSize, NamedPort};
pub use device::{Console, ConsoleConfig};
pub use handler::ConsoleHandler;

#[cfg(test)]
mod tests;
