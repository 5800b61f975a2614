//! The `bulkhead-vmm` program: one process, one virtual machine.
//!
//! ```text
//!  signals ─┐                              ┌─► vmm::machine (before the start: nobody)
//!  API ─────┴─► Mailbox ─► Monitor::serve ─┤
//!  (thread)                (main thread)   └─► ConfigState, Host: what is allowed, what is open
//! ```
//!
//! The main thread owns everything. Before the guest starts it waits for requests; afterwards the
//! machine's own loop runs on it, and requests arrive there as commands.
#![forbid(unsafe_code)]

mod args;
mod confinement;
mod counters;
mod flush;
mod host;
mod logger;
mod metadata;
mod monitor;
mod notify;
mod operate;
mod probe;
mod serve;
mod shorten;
mod signals;
mod start;
mod startup;
mod terminal;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

/// Exit status of what failed before there was a machine.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let started = Instant::now();
    let args = args::Args::parse();
    match serve::run(args, started) {
        Ok(status) => status.into(),
        Err(error) => {
            let error = shorten::shorten(format!("{error:#}"));
            log::error!("{error}");
            // Standard error may be closed; then the log is all there is.
            let _ = writeln!(std::io::stderr(), "bulkhead-vmm: {error}");
            FAILED.into()
        }
    }
}
