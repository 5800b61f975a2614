//! One machine: from an opened KVM to its end.
//!
//! ```text
//!  Foundation::lay ──► load ──► board (devices, tables) ──► complete ──► Machine::run
//!   VM, memory,        kernel   by the caller, on what      boot         commands, until
//!   vCPUs being made            the foundation offers       processor    the end
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
pub use foundation::{BuildError, Foundation, LoadedKernel, MachineParams};
pub use phases::{Phase, Phases};
pub use run::{Machine, State, StateError};
