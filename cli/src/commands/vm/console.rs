//! `bulkhead vm console`.

use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use anyhow::Context;
use vm_spec::ComponentId;

use crate::host::control;
use crate::host::machines::{self, MachineFolder};
use crate::host::pump;
use crate::host::signals::{self, Signal};
use crate::host::terminal::{self, Escape, RawMode};
use crate::output;

pub(crate) const HELP: &str = "\
Shows what the console has said last and what it says from now on, and types for the user.
Ctrl-] Ctrl-] leaves; the machine goes on.

Examples:
  bulkhead vm console web
  bulkhead vm console --device hvc web
  bulkhead vm console web </dev/null | grep -m1 login:";

/// Which machine.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Device whose console it is to be, where the machine has several (default: the first by name)
    #[arg(long, value_name = "ID")]
    device: Option<ComponentId>,
    /// Name of the machine
    name: String,
}

enum Event {
    Signal(Signal),
    Left,
    Ended,
}

impl From<Signal> for Event {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

/// Until the user leaves or the machine ends.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = MachineFolder::open(&machines::root(), &args.name)?;
    let attached = control::patient_client(&folder).attach_console(args.device.as_ref());
    let (console, early) = control::answer(&folder, attached)?;
    let (sender, events) = mpsc::channel();
    signals::forward(sender.clone())?;
    let interactive = terminal::is_interactive();
    if interactive {
        output::note(&format!("{}: {}.", args.name, Escape::HINT));
    }
    let raw = if interactive { RawMode::enter()? } else { None };
    let leave = sender.clone();
    let typed = console.try_clone().context("failed to open the console twice")?;
    pump::keyboard(typed, interactive, move || drop(leave.send(Event::Left)))?;
    thread::Builder::new().name("screen".to_owned()).spawn(move || {
        let said = std::io::Read::chain(early.as_slice(), console);
        // Whether the console ended or nobody reads it any more: that is all.
        let _ = pump::copy(said, std::io::stdout());
        let _ = sender.send(Event::Ended);
    })?;
    let event = loop {
        match events.recv()? {
            Event::Signal(Signal::Resized) => {}
            event => break event,
        }
    };
    drop(raw);
    Ok(match event {
        Event::Signal(Signal::End(number)) => signals::exit_status(number).into(),
        Event::Left if interactive => {
            output::note(&format!("\n{} goes on.", args.name));
            ExitCode::SUCCESS
        }
        _ => ExitCode::SUCCESS,
    })
}
