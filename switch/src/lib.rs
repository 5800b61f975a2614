//! The user-mode network switch of containers.
//!
//! One process, `bulkhead-switch`, serves all `user` networks of an engine. Monitors connect their
//! cards to it, the engine tells it which card is on which network ([`control`]), and
//! it is the networks' gateway: it answers for names, and carries connections to and from the host
//! with ordinary sockets. It needs no privileges.
#![forbid(unsafe_code)]

pub mod address;
pub mod client;
pub mod control;
