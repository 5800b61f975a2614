//! `bulkhead vm inspect`.

mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use api::vm::client::ClientError;
use serde::Serialize;
use serde_json::Value;
use vm_spec::{Component, VmSpec};

use crate::host::machines::{self, MachineFolder};
use crate::host::state::State;
use crate::host::{clock, control};
use crate::output::{self, Format};
use launch::EndRecord;
use launch::Life;
use summary::Summary;

pub(crate) const HELP: &str = "\
Examples:
  bulkhead vm inspect web
  bulkhead vm inspect --format json web | jq .spec.memory";

/// Which machine, and how to print.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the machine
    name: String,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Serialize)]
struct Inspection {
    name: String,
    state: State,
    /// What runs it, while it runs.
    #[serde(flatten)]
    running: Option<Running>,
    /// How it ended, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<EndRecord>,
    log: PathBuf,
    spec: VmSpec,
}

#[derive(Serialize)]
struct Running {
    pid: u32,
    monitor_version: String,
    uptime_s: Option<u64>,
    api_socket: PathBuf,
    metrics: Summary,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = MachineFolder::find(&machines::root(), &args.name)?;
    let inspection = match folder.life() {
        Life::Ended => inspect_ended(&folder)?,
        _ => inspect(&folder)?,
    };
    match args.format {
        Format::Json => output::json(&inspection)?,
        Format::Table => print(&inspection)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect(folder: &MachineFolder) -> anyhow::Result<Inspection> {
    let client = control::client(folder);
    let monitor = folder.monitor()?;
    let ask = || -> Result<_, ClientError> {
        Ok((client.instance()?, client.spec()?, client.metrics()?))
    };
    let (instance, spec, metrics) = control::answer(folder, ask())?;
    Ok(Inspection {
        name: folder.name().to_owned(),
        state: instance.state.into(),
        running: Some(Running {
            pid: monitor.pid,
            monitor_version: instance.vmm_version,
            uptime_s: clock::uptime(monitor).map(|uptime| uptime.as_secs()),
            api_socket: folder.api_socket(),
            metrics: Summary::of(&metrics),
        }),
        end: None,
        log: folder.log_file(),
        spec,
    })
}

fn inspect_ended(folder: &MachineFolder) -> anyhow::Result<Inspection> {
    Ok(Inspection {
        name: folder.name().to_owned(),
        state: State::Ended,
        running: None,
        end: Some(EndRecord::of(folder)),
        log: folder.log_file(),
        spec: control::spec(folder)?,
    })
}

fn print(machine: &Inspection) -> anyhow::Result<()> {
    let spec = &machine.spec;
    let field = |name: &str, value: String| output::line(&format!("{name:<12} {value}"));
    field("Name", machine.name.clone())?;
    field("State", machine.state.name().to_owned())?;
    if let Some(end) = &machine.end {
        field("End", super::ls::brief(end))?;
        field("Message", end.message.clone())?;
    }
    if let Some(running) = &machine.running {
        if let Some(uptime) = running.uptime_s {
            field("Uptime", clock::rough(Duration::from_secs(uptime)))?;
        }
        field("Monitor", format!("process {}, version {}", running.pid, running.monitor_version))?;
        field("Socket", running.api_socket.display().to_string())?;
    }
    field("Log", machine.log.display().to_string())?;
    field("Kernel", spec.boot.kernel.display().to_string())?;
    if let Some(initrd) = &spec.boot.initrd {
        field("Initrd", initrd.display().to_string())?;
    }
    field("Command line", spec.boot.cmdline.clone())?;
    field("CPUs", spec.cpu.count.to_string())?;
    field("Memory", spec.memory.size.to_string())?;
    for (id, component) in &spec.components {
        field("Component", format!("{id}: {}", describe(component)?))?;
    }
    let counted = machine.running.as_ref().map(|running| running.metrics.lines());
    for (name, value) in counted.into_iter().flatten() {
        field("Counted", format!("{value} {name}"))?;
    }
    Ok(())
}

/// A component in a line: its kind, and its values as far as they are set.
fn describe(component: &Component) -> anyhow::Result<String> {
    let Value::Object(fields) = serde_json::to_value(component)? else {
        return Ok(String::new());
    };
    let mut text = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (key, value) in fields.iter().filter(|(key, _)| *key != "type") {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => text.push_str(&format!(" {key}")),
            Value::String(value) => text.push_str(&format!(" {key}={value}")),
            value => text.push_str(&format!(" {key}={value}")),
        }
    }
    Ok(text)
}
