//! `bulkhead vm link`.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::host::control;
use crate::host::machines::{self, MachineFolder};

pub(crate) const HELP: &str = "\
Pulls the cable of a network card, or plugs it in again. While it is out, the guest sees no
carrier and frames are lost. `bulkhead vm inspect NAME` shows the cards' names.

Example:
  bulkhead vm link web net0 down";

/// Which cable.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the machine
    name: String,
    /// Id of the network card
    #[arg(value_name = "CARD")]
    card: String,
    /// What the cable is to be
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Plugged in
    Up,
    /// Pulled
    Down,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = MachineFolder::open(&machines::root(), &args.name)?;
    let answer = control::client(&folder).set_link(&args.card, args.state == State::Up);
    control::answer(&folder, answer)?;
    Ok(ExitCode::SUCCESS)
}
