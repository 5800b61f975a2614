//! The real agent, as an ordinary process, against the real client. Between them a stand-in for the
//! monitor speaks the vsock device's unix-socket protocol.

// Helpers here are tests too, and a skipped test says why.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod container;
mod exec;
mod harness;
mod hostile;
mod identity;
mod inline;
mod machine;
mod many;
mod network;
mod streams;
mod terminal;
