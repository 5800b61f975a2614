//! `bulkhead vm stop`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use api::vm::wire::InstanceState;

use super::kill;
use crate::host::control::{self, Names};
use crate::host::machines::MachineFolder;
use crate::output;
use launch::Process;

pub(crate) const HELP: &str = "\
Presses the machine's power button and waits until it is off. A paused machine goes on first.
A guest that does not power off in time is ended as by: bulkhead vm kill

Examples:
  bulkhead vm stop web
  bulkhead vm stop --timeout 60 db1 db2";

/// Which machines, and how long to wait.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    names: Names,
    /// Seconds that the guest may take to power off
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let limit = Duration::from_secs(args.timeout.into());
    args.names.each(|folder| stop(folder, limit))
}

fn stop(folder: &MachineFolder, limit: Duration) -> anyhow::Result<()> {
    let name = folder.name();
    if let Some(process) = Process::of(folder.monitor()?)? {
        let off = match press(folder) {
            Ok(()) => process.wait(limit).context("failed to wait for the monitor's end")?,
            Err(error) => {
                output::report(&error);
                false
            }
        };
        if !off {
            output::note(&format!("{name} did not power off within {limit:?} and is ended"));
            kill::end(folder, &process)?;
        }
    }
    Ok(())
}

/// Presses the power button of a guest that can notice.
fn press(folder: &MachineFolder) -> anyhow::Result<()> {
    let client = control::client(folder);
    let state = control::answer(folder, client.instance())?.state;
    if state == InstanceState::Paused {
        control::answer(folder, client.resume())?;
    }
    control::answer(folder, client.power_button())
}
