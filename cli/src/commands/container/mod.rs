//! Containers: Docker's verbs with Docker's flags.

mod body;
mod events;
mod exec;
pub(crate) mod files;
pub(crate) mod life;
mod mounts;
mod options;
pub(crate) mod ports;
pub(crate) mod ps;
mod rare;
mod run;
mod session;
pub(crate) mod show;
mod start;

use std::process::ExitCode;

use clap::Subcommand;

use crate::engine::{Engine, with_engine};

pub(crate) use body::{labels, pairs};
pub(crate) use events::{Args as EventsArgs, run as events};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a container and run it
    #[command(after_help = run::HELP)]
    Run(Box<run::RunArgs>),
    /// Make a container
    Create(Box<run::CreateArgs>),
    /// Start containers
    Start(start::StartArgs),
    /// Join a running container's streams
    Attach(start::AttachArgs),
    /// Run a command in a running container
    #[command(after_help = exec::HELP)]
    Exec(exec::Args),
    /// List containers
    #[command(alias = "list")]
    Ps(ps::Args),
    /// Show what a container has written
    Logs(show::LogsArgs),
    /// Ask containers to end, and kill those that do not
    Stop(life::StopArgs),
    /// Stop containers and start them again
    Restart(life::StopArgs),
    /// Send containers a signal
    Kill(life::KillArgs),
    /// Have containers stand still
    Pause(life::Names),
    /// Have paused containers go on
    Unpause(life::Names),
    /// Wait until containers end and print their exit statuses
    Wait(life::Names),
    /// Remove containers
    Rm(life::RmArgs),
    /// Give a container another name
    Rename(life::RenameArgs),
    /// Change limits of containers
    Update(Box<life::UpdateArgs>),
    /// Show everything about containers and other objects
    Inspect(show::InspectArgs),
    /// Show what containers use
    Stats(show::StatsArgs),
    /// List a container's processes
    Top(show::TopArgs),
    /// List a container's published ports
    Port(show::PortArgs),
    /// Copy files into a container or out of it
    #[command(after_help = files::CP_HELP)]
    Cp(files::CpArgs),
    /// List what a container has changed of its image
    Diff(show::DiffArgs),
    /// Write a container's files as a tar archive
    Export(files::ExportArgs),
    /// Make an image of a container
    Commit(files::CommitArgs),
}

/// The same, and what has no short form.
#[derive(Subcommand)]
pub(crate) enum Group {
    #[command(flatten)]
    Verb(Command),
    /// List containers
    Ls(ps::Args),
    /// Remove containers that do not run
    Prune(life::PruneArgs),
}

pub(crate) fn run(host: Option<&str>, command: Command) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| dispatch(engine, command))
}

pub(crate) fn run_group(host: Option<&str>, group: Group) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| async move {
        match group {
            Group::Verb(command) => dispatch(engine, command).await,
            Group::Ls(args) => ps::run(engine, args).await,
            Group::Prune(args) => {
                let question = "This removes all containers that do not run.";
                life::prune(&engine, "containers", question, &args, &[]).await
            }
        }
    })
}

async fn dispatch(engine: Engine, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(engine, *args).await,
        Command::Create(args) => run::create_only(engine, *args).await,
        Command::Start(args) => start::start(engine, args).await,
        Command::Attach(args) => start::attach(engine, args).await,
        Command::Exec(args) => exec::run(engine, args).await,
        Command::Ps(args) => ps::run(engine, args).await,
        Command::Logs(args) => show::logs(engine, args).await,
        Command::Stop(args) => life::stop(engine, "stop", args).await,
        Command::Restart(args) => life::stop(engine, "restart", args).await,
        Command::Kill(args) => life::kill(engine, args).await,
        Command::Pause(names) => life::act(engine, "pause", names).await,
        Command::Unpause(names) => life::act(engine, "unpause", names).await,
        Command::Wait(names) => life::wait(engine, names).await,
        Command::Rm(args) => life::rm(engine, args).await,
        Command::Rename(args) => life::rename(engine, args).await,
        Command::Update(args) => life::update(engine, *args).await,
        Command::Inspect(args) => show::inspect(engine, args).await,
        Command::Stats(args) => show::stats(engine, args).await,
        Command::Top(args) => show::top(engine, args).await,
        Command::Port(args) => show::port(engine, args).await,
        Command::Cp(args) => files::cp(engine, args).await,
        Command::Diff(args) => show::diff(engine, args).await,
        Command::Export(args) => files::export(engine, args).await,
        Command::Commit(args) => files::commit(engine, args).await,
    }
}
