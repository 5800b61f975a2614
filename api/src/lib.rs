//! REST wire types, routers and clients, and their OpenAPI documents.
//!
//! * [`vm`] is the socket of one virtual machine: Firecracker's API and what goes beyond it under
//!   `/bulkhead/`.
//! * [`metrics`] turns one neutral snapshot of metrics into the texts that others read.
//! * [`probe`] is what a monitor says about its host without a machine.
//! * [`detach_keys`] are the keys by which a client leaves a terminal, which the engine and the
//!   command both look for.
//! * [`http`] is the HTTP/1.1 underneath.
#![forbid(unsafe_code)]

pub mod detach_keys;
pub mod http;
pub mod metrics;
pub mod probe;
pub mod vm;
