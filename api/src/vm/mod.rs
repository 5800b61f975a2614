//! The REST socket of one virtual machine.
//!
//! A request goes through four steps, each a module of its own:
//!
//! ```text
//! bytes ── http ──► method, path, body ── route ──► VmRequest ── controller ──► the monitor
//!                                                                                   │
//! bytes ◄── http ── status, body ◄── server ◄────── VmResponse or VmFault ◄─────────┘
//!                                                  (config_state says which)
//! ```
//!
//! The monitor answers in one place, with [`config_state::ConfigState`]: it knows what was
//! configured and what is allowed when.

pub mod client;
pub mod config_state;
pub mod wire;

mod controller;
mod events;
mod fault;
#[cfg(test)]
mod openapi;
mod request;
mod response;
mod route;
mod server;
mod socket;

pub use controller::{Gone, Incoming, Mailbox, Reply, VmController, mailbox};
pub use events::{Event, EventHub, Subscriber};
pub use fault::{FaultStatus, VmFault};
pub use request::VmRequest;
pub use response::VmResponse;
pub use route::{BadRequest, Routed, Target, route};
pub use server::{ServeError, Server, ServerOptions, Stopper, serve};
pub use socket::{ListenError, SocketFile, listen};
