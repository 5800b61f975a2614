//! The metadata service: what a guest can read about itself at a link-local address.
//!
//! [`store`] holds the metadata and says what a path of it looks like as text; [`token`] makes and
//! checks the session tokens of its second version. Neither knows a network. Above them stand the
//! answers to requests, HTTP, and an [`Endpoint`] that speaks TCP with the guest inside its network
//! card, so that no frame of it ever reaches the host:
//!
//! ```text
//!  card (Detour) ─► frame ─► stack (TCP/IP) ─► connection ─► http ─► service ─► store, token
//! ```

mod connection;
mod endpoint;
mod frame;
mod http;
mod metrics;
mod service;
mod stack;
pub mod store;
pub mod token;

pub use endpoint::Endpoint;
pub use metrics::MmdsMetrics;
pub use store::{Format, Mmds, StoreError, Version};
pub use token::{TokenAuthority, TokenError};

use std::sync::{Arc, RwLock};

/// One service, used by the network devices that answer for it and by the API.
pub type SharedMmds = Arc<RwLock<Mmds>>;
