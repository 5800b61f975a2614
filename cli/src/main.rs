//! The `bulkhead` command line.
//!
//! One file per command under [`commands`]; [`host`] holds what they share of the host: the
//! folders of running machines, the terminal, the monitor's process.
#![forbid(unsafe_code)]

mod commands;
mod engine;
mod flags;
mod host;
mod output;
mod rows;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Containers and virtual machines, each with a kernel of its own.
#[derive(Parser)]
#[command(name = "bulkhead", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// The engine's socket: unix:///path (default: this user's engine, started where none runs)
    #[arg(short = 'H', long, env = "BULKHEAD_HOST", value_name = "SOCKET")]
    host: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Containers(commands::container::Command),
    #[command(flatten)]
    Images(commands::image::Command),
    /// Containers
    #[command(subcommand)]
    Container(commands::container::Group),
    /// Images
    #[command(subcommand)]
    Image(commands::image::Group),
    /// Volumes
    #[command(subcommand)]
    Volume(commands::volume::Group),
    /// Networks
    #[command(subcommand)]
    Network(commands::network::Group),
    /// Pods: several containers in one machine
    #[command(subcommand, after_help = commands::pod::HELP)]
    Pod(commands::pod::Group),
    /// The engine as a whole
    #[command(subcommand)]
    System(commands::system::Group),
    /// Follow what happens
    Events(commands::container::EventsArgs),
    /// Show the engine's settings and figures
    Info(commands::system::ShowArgs),
    /// Show versions
    Version(commands::system::ShowArgs),
    /// Keep credentials for a registry
    Login(commands::login::LoginArgs),
    /// Forget credentials for a registry
    Logout(commands::login::LogoutArgs),
    /// Make a context for Docker's command line that leads to this engine
    #[command(after_help = commands::system::CONTEXT_HELP)]
    Context(commands::system::ContextArgs),
    /// Run the engine in the foreground
    Engine(commands::system::EngineArgs),
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
    let Cli { host, command } = match flags::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let host = host.as_deref();
    let result = match command {
        Command::Containers(command) => commands::container::run(host, command),
        Command::Images(command) => commands::image::run(host, command),
        Command::Container(group) => commands::container::run_group(host, group),
        Command::Image(group) => commands::image::run_group(host, group),
        Command::Volume(group) => commands::volume::run(host, group),
        Command::Network(group) => commands::network::run(host, group),
        Command::Pod(group) => commands::pod::run(host, group),
        Command::System(group) => commands::system::run(host, group),
        Command::Events(args) => commands::system::events(host, args),
        Command::Info(args) => commands::system::info(host, args),
        Command::Version(args) => commands::system::version(host, args),
        Command::Login(args) => commands::login::login(host, args),
        Command::Logout(args) => commands::login::logout(args),
        Command::Context(args) => commands::system::context(host, &args),
        Command::Engine(args) => commands::system::engine(&args),
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
