//! `bulkhead vm logs`.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use anyhow::Context;

use crate::host::machines::{self, MachineFolder};
use crate::host::pump;

pub(crate) const HELP: &str = "\
Prints what the monitor has logged, also of a machine that has ended. What the guest says is on its
console: bulkhead vm console

Example:
  bulkhead vm logs web | tail";

/// Which machine.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the machine
    name: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = MachineFolder::find(&machines::root(), &args.name)?.log_file();
    let log = File::open(&path).with_context(|| format!("failed to read {}", path.display()))?;
    match pump::copy(log, io::stdout()) {
        // Nobody reads any more: nothing is wrong.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        result => result.context("failed to print the log")?,
    }
    Ok(ExitCode::SUCCESS)
}
