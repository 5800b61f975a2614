//! One machine: from an opened KVM to its end.
//!
//! ```text
//!  Foundation::lay ──► board (devices, tables) ──► Foundation::complete ──► Machine::run
//!   VM, memory,         by the caller, on what      kernel loaded, boot      commands, until
//!   vCPUs being made    the foundation offers       processor placed         the end
//! ```
//!
//! The thread that calls [`Machine::run`] is the machine's sole owner. Others hold a [`Control`]
//! and send it commands; vCPUs and devices send it what the guest asks for. There is no lock.
//!
//! States, as commands and events see them:
//!
//! ```text
//!            resume                  end of the guest, or stop
//!  Paused ───────────► Running ─────────────────────────────────► Ended
//!    ▲                    │                                          ▲
//!    └────────────────────┘                    stop                  │
//!             pause           Paused ────────────────────────────────┘
//! ```

pub mod board;
pub mod control;
pub mod ended;
pub mod foundation;
pub mod phases;
mod requests;
mod run;

pub use board::{Board, Devices};
pub use control::{Control, MachineGone};
pub use ended::Ended;
pub use foundation::{BuildError, Foundation, MachineParams};
pub use phases::{Phase, Phases};
pub use run::{Machine, State, StateError};
