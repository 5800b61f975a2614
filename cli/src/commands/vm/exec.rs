//! `bulkhead vm exec`.

use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use agent_protocol::client::{Client, Connector};
use anyhow::Context;

use crate::host::control;
use crate::host::exec::{ExecOptions, Running, agent_socket};
use crate::host::machines::{self, MachineFolder};
use crate::host::signals::{self, Signal};
use crate::host::terminal;

pub(crate) const HELP: &str = "\
Examples:
  bulkhead vm exec web uname -a
  bulkhead vm exec --user 1000 --env LANG=C --workdir /tmp web sh

Exit status: that of the command; 128 and the signal's number if one ended it; 127 if it was not
found, 126 if it could not be run, 125 if the guest could not be asked.";

/// A command for a running machine.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: ExecOptions,
    /// Name of the machine
    name: String,
    /// Command to run in the guest
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<String>,
}

enum Event {
    Signal(Signal),
    Ended(anyhow::Result<u8>),
}

impl From<Signal> for Event {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

/// Exits as the command does.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = MachineFolder::open(&machines::root(), &args.name)?;
    let spec = args.options.spec(&args.command)?;
    let client = match connect(&folder) {
        Ok(client) => client,
        Err(error) => return Ok(failed(&error)),
    };
    let (sender, events) = mpsc::channel();
    signals::forward(sender.clone())?;
    let running = match Running::start(&client, &spec) {
        Ok(running) => running,
        Err(error) => return Ok(failed(&error)),
    };
    let handle = running.handle.clone();
    thread::spawn(move || {
        let _ = sender.send(Event::Ended(running.wait().map_err(Into::into)));
    });
    let mut asked = false;
    loop {
        match events.recv()? {
            Event::Ended(Ok(status)) => return Ok(status.into()),
            Event::Ended(Err(error)) => return Ok(failed(&error)),
            Event::Signal(Signal::Resized) => {
                if let Some((rows, columns)) = terminal::size() {
                    // A command that just ended has no terminal to resize.
                    let _ = handle.resize(rows, columns);
                }
            }
            // The second one is for this process.
            Event::Signal(Signal::End(number)) if std::mem::replace(&mut asked, true) => {
                return Ok(signals::exit_status(number).into());
            }
            Event::Signal(Signal::End(number)) => {
                let _ = handle.signal_group(number.unsigned_abs());
            }
        }
    }
}

fn connect(folder: &MachineFolder) -> anyhow::Result<Client> {
    let name = folder.name();
    let socket = agent_socket(&control::spec(folder)?).with_context(|| {
        format!("{name} has no vsock device, over which the agent in it is reached")
    })?;
    Client::connect(&Connector::new(socket)).with_context(|| {
        format!("failed to reach the agent in {name} (what it does: bulkhead vm console {name})")
    })
}

fn failed(error: &anyhow::Error) -> ExitCode {
    crate::output::report(error);
    crate::host::exec::failure_status(error).into()
}
