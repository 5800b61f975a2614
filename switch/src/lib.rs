//! The user-mode network switch of containers.
//!
//! One process, `bulkhead-switch`, serves all `user` networks of an engine. Monitors connect their
//! cards to it, the engine tells it which card is on which network ([`control`]), and it is the
//! networks' gateway: it answers for names, and carries connections to and from the host with
//! ordinary sockets. It needs no privileges.
//!
//! ```text
//!  cards ◄─ frames ─► switching ◄─► other cards of the network
//!                        │
//!                        └─► gateway ─┬─ dns ──► zone, host's name servers
//!                                     ├─ tcp ──► sockets of the host
//!  engine ◄─ lines ─► apply           ├─ udp ──► sockets of the host
//!                                     ├─ echo ─► ping sockets
//!                                     └─ publish ◄── listening sockets of the host
//! ```
//!
//! Everything happens on one thread, which waits for all descriptors and timers at once and does
//! bounded work for each. What guests can make the switch remember is bounded for each port.
#![forbid(unsafe_code)]

pub mod address;
mod apply;
pub mod client;
pub mod control;
mod core;
mod dns;
mod echo;
mod engine_line;
mod frame;
mod gateway;
mod listener;
mod publish;
mod route;
mod switch;
mod switching;
mod tcp;
mod udp;

pub use listener::ListenError;
pub use switch::{Settings, Switch};
