//! `bulkhead vm ls`.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use vm_spec::MachineEnd;

use crate::host::machines::{self, MachineFolder};
use crate::host::state::State;
use crate::host::{clock, control};
use crate::output::{self, Format};
use launch::EndRecord;
use launch::{Life, ProcessId};

pub(crate) const HELP: &str = "\
Machines are those of this user, started by: bulkhead vm run. The state of a machine whose monitor
does not answer is shown as unknown.

Examples:
  bulkhead vm ls
  bulkhead vm ls --all
  bulkhead vm kill $(bulkhead vm ls --quiet)
  bulkhead vm ls --format json | jq '.[] | select(.state == \"Paused\") | .name'";

/// A list should not take long because one machine hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// How to print the machines.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show machines too that ran in the background and have ended
    #[arg(short, long)]
    all: bool,
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
    state: State,
    pid: Option<u32>,
    cpus: Option<u8>,
    memory_mib: Option<u64>,
    uptime_s: Option<u64>,
    /// How it ended.
    end: Option<EndRecord>,
}

impl Row {
    /// `None` for a machine that ends meanwhile.
    fn of(folder: &MachineFolder) -> Option<Self> {
        let (state, monitor, end) = match folder.life() {
            Life::Running(monitor) => (ask(folder), Some(monitor), None),
            Life::Owned => (State::Starting, None, None),
            Life::Ended => (State::Ended, None, Some(EndRecord::of(folder))),
            Life::Stale => return None,
        };
        let spec = control::spec(folder).ok();
        let uptime = |monitor: ProcessId| clock::uptime(monitor).map(|uptime| uptime.as_secs());
        Some(Self {
            name: folder.name().to_owned(),
            state,
            pid: monitor.map(|monitor| monitor.pid),
            cpus: spec.as_ref().map(|spec| spec.cpu.count),
            memory_mib: spec.as_ref().map(|spec| spec.memory.size.0),
            uptime_s: monitor.and_then(uptime),
            end,
        })
    }

    fn columns(&self) -> [String; 6] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            self.name.clone(),
            self.state.name().to_owned(),
            or_dash(self.pid.map(|pid| pid.to_string())),
            or_dash(self.cpus.map(|count| count.to_string())),
            or_dash(self.memory_mib.map(|size| format!("{size} MiB"))),
            or_dash(self.uptime_s.map(|s| clock::rough(Duration::from_secs(s)))),
        ]
    }

    fn columns_with_end(&self) -> [String; 7] {
        let [name, state, pid, cpus, memory, uptime] = self.columns();
        let end = self.end.as_ref().map_or_else(|| "-".to_owned(), brief);
        [name, state, pid, cpus, memory, uptime, end]
    }
}

/// `power-off (0), 5m 3s ago`
pub(super) fn brief(end: &EndRecord) -> String {
    let name = end.end.map_or("monitor killed", MachineEnd::name);
    let status = end.status.map(|status| format!(" ({status})")).unwrap_or_default();
    let ago = |time| format!(", {} ago", clock::rough(clock::since(time)));
    format!("{name}{status}{}", end.time_ms.map(ago).unwrap_or_default())
}

fn ask(folder: &MachineFolder) -> State {
    let instance = control::client(folder).with_timeout(PATIENCE).instance();
    instance.map_or(State::Unknown, |instance| instance.state.into())
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut folders = MachineFolder::list(&machines::root())?;
    folders.retain(|folder| args.all || folder.life() != Life::Ended);
    if args.quiet {
        for folder in folders {
            output::line(folder.name())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = folders.iter().filter_map(Row::of).collect();
    match args.format {
        Format::Json => output::json(&rows)?,
        Format::Table if args.all => {
            let headings = ["NAME", "STATE", "PID", "CPUS", "MEMORY", "UPTIME", "END"];
            output::table(headings, rows.iter().map(Row::columns_with_end))?;
        }
        Format::Table => {
            let headings = ["NAME", "STATE", "PID", "CPUS", "MEMORY", "UPTIME"];
            output::table(headings, rows.iter().map(Row::columns))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
