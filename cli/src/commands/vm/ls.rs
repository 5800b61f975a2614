//! `bulkhead vm ls`.

use std::process::ExitCode;

use serde::Serialize;

use crate::host::machines::{self, MachineFolder};
use crate::output::{self, Format};

/// How to print the machines.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Row {
    name: String,
    pid: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folders = MachineFolder::list(&machines::root())?;
    // One that ends in between is left out.
    let rows: Vec<_> = folders
        .iter()
        .filter_map(|folder| {
            let monitor = folder.monitor().ok()?;
            Some(Row { name: folder.name().to_owned(), pid: monitor.pid })
        })
        .collect();
    match args.format {
        Format::Json => output::json(&rows)?,
        Format::Table => {
            output::table(["NAME", "PID"], rows.into_iter().map(|r| [r.name, r.pid.to_string()]))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
