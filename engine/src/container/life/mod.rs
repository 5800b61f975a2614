//! The life of a container.
//!
//! ```text
//!            start                   ends (or stop, kill)
//!  created ─────────► running ───────────────────────────► exited ──start──► running
//!                     │    ▲  └─(restart policy)─► restarting ─┘ (after a wait)
//!                pause▼    │unpause
//!                     paused
//!  created, exited ──remove──► (gone)
//! ```
//!
//! Whoever changes it holds the container's `operation`. A run is looked after by a task of its
//! own ([`supervise`]): it sees the end, writes it down, tears the machine down and decides on
//! another start. `stop` and `kill` only send signals and wait for what that task does.

mod adopt;
mod first_output;
mod pause;
mod remove;
mod start;
mod stop;
mod supervise;
#[cfg(test)]
mod tests;
mod update;
mod wait;

pub use self::remove::RemoveOptions;
pub use self::wait::{WaitCondition, Waited};
