//! `bulkhead vm`: machines of this user, each run by a monitor of its own.

mod components;
mod console;
mod events;
mod exec;
mod inspect;
mod kill;
mod link;
mod logs;
mod ls;
mod metrics;
mod pause;
mod rm;
mod run;
mod stop;

use std::process::ExitCode;

use clap::Subcommand;

use crate::host::control::Names;

pub(crate) const HELP: &str = "\
Example:
  bulkhead vm run --name web --kernel vmlinux --initrd initramfs.cpio --detach
  bulkhead vm exec web uname -a
  bulkhead vm stop web";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Boot a machine, and run a command in it if one is given
    #[command(after_help = run::HELP)]
    Run(Box<run::Args>),
    /// List machines
    #[command(after_help = ls::HELP)]
    Ls(ls::Args),
    /// Run a command in a running machine
    #[command(after_help = exec::HELP)]
    Exec(exec::Args),
    /// Talk to a running machine's console
    #[command(after_help = console::HELP)]
    Console(console::Args),
    /// Show what a machine is and what it has done
    #[command(after_help = inspect::HELP)]
    Inspect(inspect::Args),
    /// Follow what happens to a machine
    #[command(after_help = events::HELP)]
    Events(events::Args),
    /// Print what a machine's monitor has logged
    #[command(after_help = logs::HELP)]
    Logs(logs::Args),
    /// Print what a machine's monitor counts
    #[command(after_help = metrics::HELP)]
    Metrics(metrics::Args),
    /// Pull the cable of a machine's network card, or plug it in
    #[command(after_help = link::HELP)]
    Link(link::Args),
    /// Have machines stand still
    #[command(after_help = pause::PAUSE_HELP)]
    Pause(Names),
    /// Have paused machines go on
    #[command(after_help = pause::RESUME_HELP)]
    Resume(Names),
    /// Have machines power off
    #[command(after_help = stop::HELP)]
    Stop(stop::Args),
    /// End machines at once
    #[command(after_help = kill::HELP)]
    Kill(Names),
    /// Remove what is left of machines that have ended
    #[command(after_help = rm::HELP)]
    Rm(rm::Args),
    /// Remove what is left of all machines that have ended
    #[command(after_help = rm::PRUNE_HELP)]
    Prune,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(*args),
        Command::Ls(args) => ls::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Console(args) => console::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Metrics(args) => metrics::run(&args),
        Command::Link(args) => link::run(&args),
        Command::Pause(names) => pause::pause(&names),
        Command::Resume(names) => pause::resume(&names),
        Command::Stop(args) => stop::run(&args),
        Command::Kill(names) => kill::run(&names),
        Command::Rm(args) => rm::run(&args),
        Command::Prune => rm::prune(),
    }
}
