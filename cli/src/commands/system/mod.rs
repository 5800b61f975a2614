//! The engine as a whole: version, info, disk usage, events, prune; running it; Docker's context.

mod df;
mod version;

use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command as Process, ExitCode};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::Value;

use super::container::life::{self, PruneArgs};
use super::container::{self, EventsArgs};
use crate::engine::{Engine, launch, with_engine};
use crate::output;
use crate::rows::{Template, at};

pub(crate) use version::run as version;

#[derive(Subcommand)]
pub(crate) enum Group {
    /// Show what disk space is used for
    Df(df::Args),
    /// Follow what happens
    Events(EventsArgs),
    /// Show the engine's settings and figures
    Info(ShowArgs),
    /// Remove containers, networks and images that are not used
    Prune(AllArgs),
}

/// Shows something as a whole.
#[derive(clap::Args)]
pub(crate) struct ShowArgs {
    /// json, or a template such as '{{.ServerVersion}}'
    #[arg(short, long)]
    format: Option<String>,
}

/// Removes what is not used.
#[derive(clap::Args)]
pub(crate) struct AllArgs {
    /// Images with names too
    #[arg(short, long)]
    all: bool,
    /// Volumes without a name too
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    prune: PruneArgs,
}

/// Runs the engine in the foreground.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct EngineArgs {
    /// Options of bulkhead-engine
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Makes a context for Docker's command line.
#[derive(clap::Args)]
pub(crate) struct ContextArgs {
    /// Name of the context
    #[arg(default_value = "bulkhead")]
    name: String,
}

pub(crate) const CONTEXT_HELP: &str = "\
Example:
  bulkhead context && docker --context bulkhead ps";

pub(crate) fn run(host: Option<&str>, group: Group) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| async move {
        match group {
            Group::Df(args) => df::run(engine, args).await,
            Group::Events(args) => container::events(engine, args).await,
            Group::Info(args) => show(engine, "/info", args, &INFO).await,
            Group::Prune(args) => prune(engine, args).await,
        }
    })
}

pub(crate) fn events(host: Option<&str>, args: EventsArgs) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| container::events(engine, args))
}

pub(crate) fn info(host: Option<&str>, args: ShowArgs) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| async move { show(engine, "/info", args, &INFO).await })
}

const INFO: [(&str, &str); 12] = [
    ("Engine version", "/ServerVersion"),
    ("Containers", "/Containers"),
    (" running", "/ContainersRunning"),
    (" paused", "/ContainersPaused"),
    (" stopped", "/ContainersStopped"),
    ("Images", "/Images"),
    ("Storage", "/Driver"),
    ("Folder", "/DockerRootDir"),
    ("Kernel of the host", "/KernelVersion"),
    ("Operating system", "/OperatingSystem"),
    ("Processors", "/NCPU"),
    ("Security", "/SecurityOptions"),
];

async fn show(
    engine: Engine,
    path: &str,
    args: ShowArgs,
    fields: &[(&str, &str)],
) -> anyhow::Result<ExitCode> {
    let value: Value = engine.get(path).await?;
    match args.format.as_deref() {
        Some("json") => output::json(&value)?,
        Some(text) => output::line(&text.parse::<Template>()?.render(&value)?)?,
        None => {
            for (name, path) in fields {
                output::line(&format!("{name}: {}", at(&value, path)))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn prune(engine: Engine, args: AllArgs) -> anyhow::Result<ExitCode> {
    let question = "This removes all containers that do not run, and networks and images that no \
                    container uses.";
    if !args.prune.force && !output::confirmed(question)? {
        return Ok(ExitCode::SUCCESS);
    }
    let dangling = vec!["dangling=false".to_owned()];
    let mut kinds = vec![("containers", Vec::new()), ("networks", Vec::new())];
    kinds.push(("images", if args.all { dangling } else { Vec::new() }));
    if args.volumes {
        kinds.push(("volumes", Vec::new()));
    }
    let sure = PruneArgs { force: true, filter: args.prune.filter };
    for (kind, filters) in kinds {
        life::prune(&engine, kind, "", &sure, &filters).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the engine's program.
pub(crate) fn engine(args: &EngineArgs) -> anyhow::Result<ExitCode> {
    let program = launch::program()?;
    let error = Process::new(&program).args(&args.options).exec();
    Err(error).with_context(|| format!("failed to run {}", program.display()))
}

/// Makes, or renews, a context of Docker's that leads to this engine.
pub(crate) fn context(host: Option<&str>, args: &ContextArgs) -> anyhow::Result<ExitCode> {
    let socket = match host {
        Some(host) => PathBuf::from(host.strip_prefix("unix://").unwrap_or(host)),
        None => launch::default_socket(),
    };
    let docker = env::var_os("DOCKER").unwrap_or_else(|| "docker".into());
    let endpoint = format!("host=unix://{}", socket.display());
    let docker_context = |verb: &str| {
        Process::new(&docker)
            .args(["context", verb, &args.name, "--docker", &endpoint])
            .args(["--description", "Containers in virtual machines, by Bulkhead"])
            .output()
            .context("failed to run docker, whose context this is")
    };
    let mut result = docker_context("create")?;
    if !result.status.success() {
        result = docker_context("update")?;
    }
    if !result.status.success() {
        bail!("docker context: {}", String::from_utf8_lossy(&result.stderr).trim());
    }
    output::line(&format!("docker --context {} now leads to {}", args.name, socket.display()))?;
    Ok(ExitCode::SUCCESS)
}
