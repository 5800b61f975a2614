//! The `bulkhead` command line.
//!
//! One file per command under [`commands`]; [`host`] holds what they share of the host: the
//! folders of running machines, the terminal, the monitor's process.
#![forbid(unsafe_code)]

mod commands;
mod host;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Containers and virtual machines, each with a kernel of its own.
#[derive(Parser)]
#[command(name = "bulkhead", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start virtual machines and look after them
    #[command(subcommand, after_help = commands::vm::HELP)]
    Vm(commands::vm::Command),
    /// Find out what this host can run, and what to do where it cannot
    #[command(after_help = commands::doctor::HELP)]
    Doctor(commands::doctor::Args),
    /// Print a completion script for a shell
    #[command(after_help = commands::completions::HELP)]
    Completions(commands::completions::Args),
    /// Write manual pages
    #[command(after_help = commands::man::HELP)]
    Man(commands::man::Args),
}

fn main() -> ExitCode {
    host::terminal::restore_on_panic();
    let result = match Cli::parse().command {
        Command::Vm(command) => commands::vm::run(command),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Completions(args) => commands::completions::run::<Cli>(&args),
        Command::Man(args) => commands::man::run::<Cli>(&args),
    };
    // Threads that still carry a console end with this process.
    host::terminal::restore_for_good();
    result.unwrap_or_else(|error| {
        output::report(&error);
        ExitCode::FAILURE
    })
}
