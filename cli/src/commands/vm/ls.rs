//! `bulkhead vm ls`.

use std::process::ExitCode;
use std::time::Duration;

use api::vm::wire::InstanceState;
use serde::Serialize;

use crate::host::machines::{self, MachineFolder};
use crate::host::{clock, control};
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
Machines are those of this user, started by: bulkhead vm run. The state of a machine whose monitor
does not answer is shown as unknown.

Examples:
  bulkhead vm ls
  bulkhead vm kill $(bulkhead vm ls --quiet)
  bulkhead vm ls --format json | jq '.[] | select(.state == \"Paused\") | .name'";

/// A list should not take long because one machine hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// How to print the machines.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Print the names only
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// `None`: the monitor does not answer.
    state: Option<InstanceState>,
    pid: u32,
    cpus: Option<u8>,
    memory_mib: Option<u64>,
    uptime_s: Option<u64>,
}

impl Row {
    /// `None` for a machine that ends meanwhile.
    fn of(folder: &MachineFolder) -> Option<Self> {
        let monitor = folder.monitor().ok()?;
        let spec = control::spec(folder).ok();
        let instance = control::client(folder).with_timeout(PATIENCE).instance();
        Some(Self {
            name: folder.name().to_owned(),
            state: instance.ok().map(|instance| instance.state),
            pid: monitor.pid,
            cpus: spec.as_ref().map(|spec| spec.cpu.count),
            memory_mib: spec.as_ref().map(|spec| spec.memory.size.0),
            uptime_s: clock::uptime(&monitor).map(|uptime| uptime.as_secs()),
        })
    }

    fn columns(self) -> [String; 6] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            self.name,
            state_name(self.state).to_owned(),
            self.pid.to_string(),
            or_dash(self.cpus.map(|count| count.to_string())),
            or_dash(self.memory_mib.map(|size| format!("{size} MiB"))),
            or_dash(self.uptime_s.map(|s| clock::rough(Duration::from_secs(s)))),
        ]
    }
}

/// A state in a table.
pub(super) fn state_name(state: Option<InstanceState>) -> &'static str {
    match state {
        Some(InstanceState::NotStarted) => "starting",
        Some(InstanceState::Running) => "running",
        Some(InstanceState::Paused) => "paused",
        None => "unknown",
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folders = MachineFolder::list(&machines::root())?;
    if args.quiet {
        for folder in folders {
            output::line(folder.name())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = folders.iter().filter_map(Row::of).collect();
    match args.format {
        Format::Json => output::json(&rows)?,
        Format::Table => {
            let headings = ["NAME", "STATE", "PID", "CPUS", "MEMORY", "UPTIME"];
            output::table(headings, rows.into_iter().map(Row::columns))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
