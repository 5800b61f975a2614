//! The memory balloon (VIRTIO 1.3 §5.5): gets memory back from the guest.
//!
//! Four ways, each with a queue of its own:
//!
//! * *inflating*: the guest is asked for an amount of memory, and lists the pages that it gives up;
//! * *free-page reporting*: the guest names pages as they become free, and takes them back by
//!   touching them;
//! * *free-page hinting*: the same, once, when the host asks for it;
//! * *statistics* tell the host how much it can ask for.
//!
//! Pages are released to the host, never read or written. Only guest RAM is.

mod config;
mod device;
mod handler;
mod hinting;
mod pages;
mod release;
mod roles;
mod statistics;

pub use config::BalloonMetrics;
pub use device::{Balloon, BalloonConfig, BalloonError, BalloonStatus};
pub use handler::BalloonHandler;
pub use hinting::HintingStatus;
pub use statistics::Statistics;

#[cfg(test)]
mod tests;
