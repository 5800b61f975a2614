//! The socket device (VIRTIO 1.3, 5.10): stream sockets between the guest and host programs.
//!
//! Host programs talk to it over unix sockets, see [`crate::vsock`]. Data go between those and
//! the guest's buffers without a copy; only what a full socket does not take is kept, within the
//! credit that the guest was granted. One handler on one event loop runs all connections, turn
//! by turn.
//!
//! Writing to a socket whose reader has gone raises SIGPIPE, which the process must ignore (Rust
//! programs do from the start).

mod backlog;
mod config;
mod connection;
mod credit;
mod delivery;
mod device;
mod handler;
mod metrics;
mod packet;
mod table;

pub use config::{Timeouts, VsockConfig};
pub use device::{Vsock, VsockError};
pub use handler::VsockHandler;
pub use metrics::VsockMetrics;

#[cfg(test)]
mod tests;
