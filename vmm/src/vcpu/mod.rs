//! Virtual processors: one thread each, which runs the guest and serves its exits.
//!
//! ```text
//!            Resume                     guest or KVM ends it
//!  Paused ───────────► Running ──────────────────────────────► Ended
//!    ▲  ◄───────────────  │                                      │
//!    │        Pause       │ Stop                                 │ Stop
//!    └── created          ▼                                      ▼
//!                      Stopped ◄──────────────────────────────────
//! ```
//!
//! Commands go through a channel. A running vCPU looks at its channel only after `KVM_RUN` came
//! back with `EINTR`, so an exit costs no check; the sender sets `immediate_exit` in the shared
//! `kvm_run` page and then sends a signal, so neither a vCPU inside nor one just before
//! `KVM_RUN` can miss it.

pub mod end;
pub mod exits;
pub mod kick;
pub mod run;
mod run_page;
pub mod setup;
pub mod thread;

pub use end::{InternalError, VcpuEnd};
pub use exits::Exits;
pub use setup::{SetupError, VcpuSetup};
pub use thread::{StartError, VcpuHandle};
