//! `bulkhead vm metrics`.

use std::process::ExitCode;

use crate::host::control;
use crate::host::machines::{self, MachineFolder};
use crate::output;

pub(crate) const HELP: &str = "\
Prints everything that the monitor counts in Prometheus' text format.

Example:
  bulkhead vm metrics web | grep bulkhead_vcpu_exits_total";

/// Which machine.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the machine
    name: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = MachineFolder::open(&machines::root(), &args.name)?;
    let text = control::answer(&folder, control::client(&folder).metrics())?;
    output::line(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
