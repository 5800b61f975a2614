//! The metadata service: what a guest can read about itself at a link-local address.
//!
//! [`store`] holds the metadata and says what a path of it looks like as text; [`token`] makes and
//! checks the session tokens of its second version. Neither knows a network: HTTP and TCP stand
//! above them.

pub mod store;
pub mod token;

pub use store::{Format, Mmds, StoreError, Version};
pub use token::{TokenAuthority, TokenError};

use std::sync::{Arc, RwLock};

/// One service, used by the network devices that answer for it and by the API.
pub type SharedMmds = Arc<RwLock<Mmds>>;
