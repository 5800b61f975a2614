//! Boot tests: the [`TestVm`] fixture and the suites that run real kernels; and those of whole
//! programs over [`TinyGuest`]s, named `kvm_…`, for which any KVM will do.
//!
//! ```no_run
//! use tests::{Kernel, TestVm};
//!
//! # fn main() -> anyhow::Result<()> {
//! let vm = TestVm::new(Kernel::Bulkhead612)?.boot()?;
//! assert_eq!(vm.exec("uname -r")?, Kernel::Bulkhead612.release()?);
//! # Ok(())
//! # }
//! ```
//!
//! A test is a process of its own and a boot takes seconds, so one test asks one booted machine
//! several things. `scripts/test boot` builds what the tests need and runs them where KVM can run
//! ordinary kernels. By hand:
//!
//! | variable | what it says |
//! |---|---|
//! | `BULKHEAD_VMM` | the monitor's program, if not the one built beside the tests |
//! | `BULKHEAD_TEST_IMAGES` | folder with the images' names, if not the one of `guest-images/build` |
//! | `BULKHEAD_TEST_CMDLINE` | what to add to each kernel's command line |
#![forbid(unsafe_code)]

mod blueprint;
mod cli;
mod console;
mod engine;
mod engine_requests;
mod holdings;
mod kernel;
mod lab;
mod leftovers;
mod namespaces;
mod pattern;
mod plain_user;
mod process;
mod python;
mod running;
mod starting;
mod tap;
mod terminal;
mod tiny_guest;

pub use blueprint::TestVm;
pub use cli::Cli;
pub use console::Console;
pub use engine::{TestEngine, container_image};
pub use engine_requests::{Answer, request};
pub use holdings::Holdings;
pub use kernel::{Format, Kernel, tools_disk};
pub use lab::rounds;
pub use leftovers::{descriptors_of, files_below, processes_of};
pub use namespaces::run_in_namespaces;
pub use pattern::{pattern, read_range};
pub use process::{Process, program, wait_for_end};
pub use python::{client_file, run_python};
pub use running::RunningVm;
pub use starting::begin_start;
pub use tap::Tap;
pub use terminal::Terminal;
pub use tiny_guest::TinyGuest;
