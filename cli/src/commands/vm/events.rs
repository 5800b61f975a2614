//! `bulkhead vm events`.

use std::process::ExitCode;

use api::vm::Event;
use serde_json::Value;

use crate::host::machines::{self, MachineFolder};
use crate::host::{clock, control};
use crate::output;
use launch::Life;

pub(crate) const HELP: &str = "\
Prints what has happened to the machine so far, then what happens, until the machine ends. Of one
that has ended: all that happened.
Events: started, paused, resumed, exited.

Examples:
  bulkhead vm events web
  bulkhead vm events --new --format json web | jq .event";

/// Which machine, and how to print.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the machine
    name: String,
    /// Print only what happens from now on
    #[arg(long)]
    new: bool,
    /// How to print; json is one object a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: output::Format,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = MachineFolder::find(&machines::root(), &args.name)?;
    if folder.life() == Life::Ended {
        // Nothing happens to it any more.
        let events = if args.new { Vec::new() } else { launch::events(&folder) };
        return events.iter().try_for_each(|event| args.print(event)).map(|()| ExitCode::SUCCESS);
    }
    let since = if args.new { None } else { Some(0) };
    for event in control::answer(&folder, control::patient_client(&folder).events(since))? {
        args.print(&control::answer(&folder, event)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn print(&self, event: &Event) -> anyhow::Result<()> {
        output::line(&match self.format {
            output::Format::Json => serde_json::to_string(event)?,
            output::Format::Table => describe(event),
        })
    }
}

/// `2026-11-23T05:06:07.089Z  exited  end=power-off status=0`
fn describe(event: &Event) -> String {
    let mut text = format!("{}  {}", clock::utc(event.time_ms), event.event);
    for (key, value) in event.data.as_object().into_iter().flatten() {
        let separator = if text.contains('=') { " " } else { "  " };
        let value = match value {
            Value::String(text) if !text.contains(' ') => text.clone(),
            other => other.to_string(),
        };
        text.push_str(&format!("{separator}{key}={value}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn event_is_a_line_with_its_data() {
        let data = json!({"end": "power-off", "message": "The guest: off"});
        let event = Event { id: 1, time_ms: 1_795_410_367_089, event: "exited".into(), data };
        assert_eq!(
            describe(&event),
            "2026-11-23T05:06:07.089Z  exited  end=power-off message=\"The guest: off\""
        );
    }
}
