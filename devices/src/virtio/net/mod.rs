//! Network card (VIRTIO 1.3, 5.1).
//!
//! Each pair of a receive and a transmit queue is a [`PairHandler`](handler::PairHandler) over one
//! queue of a [`NetBackend`](crate::net::NetBackend); the control queue has a handler of its own.
//! Frames go straight between the backend's descriptor and the driver's buffers, one system call
//! each, with the header that the driver and the host's kernel both understand.
//!
//! ```text
//!  receiveq ◄── Receiver ◄── readv ─┐                  ┌─► Detour (metadata service)
//!                                   backend queue      │
//!  transmitq ─► Transmitter ─ writev ┘─────────────────┘
//!  controlq ──► ControlHandler ── messages to the pairs, offloads to the backend
//! ```

mod config;
mod control;
mod detour;
mod device;
mod filter;
mod handler;
mod header;
mod link;
mod metrics;
mod rx;
mod tx;

pub use config::NetConfig;
pub use detour::{Detour, MAX_FRAME, PEEK};
pub use device::{Net, NewNetError};
pub use filter::{MacAddress, RxFilter};
pub use handler::PairHandler;
pub use header::{HeaderFault, NetHeader};
pub use metrics::NetMetrics;

#[cfg(test)]
mod tests;
