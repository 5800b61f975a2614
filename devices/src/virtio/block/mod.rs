//! Block device (VIRTIO 1.3, 5.2).
//!
//! ```text
//!  driver ──► queue ──► request::parse ──► limiter ──► engine ──► disk
//!    ▲                      │ bad              │ wait     │
//!    └──── status byte ◄────┴──────────────────┼──────────┘
//!                                              └─► timer, then again
//! ```
//!
//! Each queue has a [`handler::BlockHandler`] of its own, with its own engine; the queues share
//! the disk, the limits and the counters. The front is [`Block`].

mod completion;
mod config;
mod device;
mod engine;
mod handler;
mod metrics;
mod request;
mod shared;
mod uring;

pub use config::{BlockConfig, Cache, SERIAL_LEN};
pub use device::{Block, NewBlockError, UpdateBlockError};
pub use engine::EngineKind;
pub use handler::BlockHandler;
pub use metrics::BlockMetrics;

#[cfg(test)]
mod tests;
