//! What the host and the agent in the guest say to each other, and the host's client.
//!
//! # Connections
//!
//! The transport is vsock. The agent listens on [`AGENT_PORT`]; as soon as it serves, it also
//! calls the host on [`READY_PORT`], so a host that listens there before the boot learns of
//! readiness from an event and never has to try again.
//!
//! A connection has one of two uses. One that the agent opened is a *control connection*. On one
//! that the host opened, the host's first frame decides:
//!
//! * [`message::Open`] makes it a control connection, answered with [`message::Hello`];
//! * [`message::Attach`] makes it one *stream* of a running command. From then on it carries that
//!   stream's bytes and nothing else, so flow control is the kernel's and bulk data is never
//!   framed. A connection that attaches to nothing is closed.
//!
//! ```text
//!   host                                             agent
//!    │            ┌──────────── control ────────────┐  │
//!    │            │ Hello            (agent called)  │  │
//!    │            │ Exec ─► Started{session} ► Exited│  │
//!    │            └─────────────────────────────────┘  │
//!    │  Attach{session, Stdin}    bytes ─────────────► │
//!    │  Attach{session, Stdout}   ◄──────────── bytes  │
//!    │  Attach{session, Stderr}   ◄──────────── bytes  │
//! ```
//!
//! Most commands write little, and a connection costs more than a start. So the host may have the
//! beginning of both outputs as frames ([`message::Exec::inline_output`]), and connects when it is
//! told that there is more:
//!
//! ```text
//!    │ Exec ─► Started, Output{"hi"}, Output{End}, Exited          a short one
//!    │ Exec ─► Started, Output{"…", Connection} … Attach{Stdout}   a long one
//! ```
//!
//! # Frames
//!
//! A control connection carries frames in both directions: a little-endian `u32` length, then that
//! many bytes of a protobuf message, [`message::ToAgent`] or [`message::FromAgent`]. A length
//! above [`frame::MAX_FRAME`] ends the connection. Every request has an id chosen by the host, and
//! every reply carries the id of its request; replies come in any order.
//!
//! # Versions
//!
//! Unknown protobuf fields are skipped, so messages grow without a new version. [`VERSION`] counts
//! changes that an older peer would misunderstand; each side says which versions it speaks, and
//! [`version::agree`] picks the newest in common.

#![forbid(unsafe_code)]

mod capability;
pub mod client;
pub mod frame;
pub mod message;
pub mod version;

pub use capability::CAPABILITIES;
pub use version::VERSION;

/// The vsock port on which the agent listens in the guest.
pub const AGENT_PORT: u32 = 1024;

/// The vsock port on the host that the agent calls when it is ready.
pub const READY_PORT: u32 = 1024;

/// The most [`message::Output`] that one stream of a command has, so that the host knows for how
/// many it needs room.
pub const INLINE_FRAMES: usize = 16;
