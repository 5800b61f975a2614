//! `bulkhead vm rm` and `bulkhead vm prune`.

use std::process::ExitCode;

use super::kill;
use crate::host::control::Names;
use crate::host::machines::{self, MachineFolder};
use crate::output;
use launch::Life;
use launch::Process;

pub(crate) const HELP: &str = "\
What is removed: the folder with the machine's document, log and events. Disks stay.

Examples:
  bulkhead vm rm web
  bulkhead vm rm --force db1 db2";

pub(crate) const PRUNE_HELP: &str = "\
Removes what `bulkhead vm ls --all` shows as ended, and prints the names.

Example:
  bulkhead vm prune";

/// Which machines.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// End machines that run, as by: bulkhead vm kill
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.names.each_known(|folder| {
        if let (true, Life::Running(monitor)) = (args.force, folder.life())
            && let Some(process) = Process::of(monitor)?
        {
            kill::end(folder, &process)?;
        }
        folder.discard()
    })
}

pub(crate) fn prune() -> anyhow::Result<ExitCode> {
    for folder in MachineFolder::list(&machines::root())? {
        if folder.life() == Life::Ended {
            folder.discard()?;
            output::line(folder.name())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
