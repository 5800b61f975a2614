//! `bulkhead vm`: machines of this user, each run by a monitor of its own.

mod components;
mod exec;
mod ls;
mod run;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Boot a machine, and run a command in it if one is given
    #[command(after_help = run::HELP)]
    Run(Box<run::Args>),
    /// List running machines
    Ls(ls::Args),
    /// Run a command in a running machine
    Exec(exec::Args),
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(*args),
        Command::Ls(args) => ls::run(&args),
        Command::Exec(args) => exec::run(&args),
    }
}
