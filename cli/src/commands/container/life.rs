//! The short verbs: stop, restart, kill, pause, unpause, wait, rm, rename, update, prune.

use std::process::ExitCode;

use bollard_stubs::models::{ContainerUpdateBody, HostConfig};
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::body::restart_policy;
use super::options::ResourceOptions;
use super::session;
use crate::engine::{Engine, Query, for_each};
use crate::output;

/// Containers, by name or id.
#[derive(clap::Args)]
pub(crate) struct Names {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Stops or restarts containers.
#[derive(clap::Args)]
pub(crate) struct StopArgs {
    /// Signal to send instead of the container's
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds until they are killed; -1 for never
    #[arg(
        short = 't',
        long = "timeout",
        alias = "time",
        allow_hyphen_values = true,
        value_name = "SECONDS"
    )]
    timeout: Option<i64>,
    #[command(flatten)]
    names: Names,
}

/// Sends a signal.
#[derive(clap::Args)]
pub(crate) struct KillArgs {
    /// Signal, by name or number
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    #[command(flatten)]
    names: Names,
}

/// Removes containers.
#[derive(clap::Args)]
pub(crate) struct RmArgs {
    /// Kill those that run
    #[arg(short, long)]
    force: bool,
    /// Remove their volumes that have no name
    #[arg(short, long)]
    volumes: bool,
    #[command(flatten)]
    names: Names,
}

/// Changes limits of containers.
#[derive(clap::Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    resources: ResourceOptions,
    /// Restart policy
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    #[command(flatten)]
    names: Names,
}

/// Gives a container another name.
#[derive(clap::Args)]
pub(crate) struct RenameArgs {
    /// Name or id
    container: String,
    /// New name
    name: String,
}

/// Removes what is not used.
#[derive(clap::Args)]
pub(crate) struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Only those that match: until=TIME, label=NAME[=VALUE]
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) filter: Vec<String>,
}

/// `stop` and `restart`.
pub(crate) async fn stop(engine: Engine, verb: &str, args: StopArgs) -> anyhow::Result<ExitCode> {
    let (engine, args) = (&engine, &args);
    for_each(&args.names.containers, |name| async move {
        let path = Query::path(&["containers", name, verb])
            .maybe("signal", args.signal.as_deref())
            .maybe("t", args.timeout);
        Ok(engine.act(Method::POST, path.as_str()).await?)
    })
    .await
}

pub(crate) async fn kill(engine: Engine, args: KillArgs) -> anyhow::Result<ExitCode> {
    let (engine, signal) = (&engine, &args.signal);
    for_each(&args.names.containers, |name| async move {
        let path = Query::path(&["containers", name, "kill"]).with("signal", signal);
        Ok(engine.act(Method::POST, path.as_str()).await?)
    })
    .await
}

/// `pause` and `unpause`.
pub(crate) async fn act(engine: Engine, verb: &str, names: Names) -> anyhow::Result<ExitCode> {
    let engine = &engine;
    for_each(&names.containers, |name| async move {
        let path = Query::path(&["containers", name, verb]);
        Ok(engine.act(Method::POST, path.as_str()).await?)
    })
    .await
}

/// Prints how each ended. All are waited for, even if one is not there.
pub(crate) async fn wait(engine: Engine, names: Names) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for name in &names.containers {
        match session::wait(&engine, name, "not-running").await {
            Ok(status) => output::line(&status.to_string())?,
            Err(error) => {
                output::report(&error);
                failed = true;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is not there need not be removed by force: that is told, and is no failure.
pub(crate) async fn rm(engine: Engine, args: RmArgs) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for name in &args.names.containers {
        let path =
            Query::path(&["containers", name]).flag("force", args.force).flag("v", args.volumes);
        match engine.act(Method::DELETE, path.as_str()).await {
            Ok(()) => output::line(name)?,
            Err(error) => {
                failed |= !(args.force && error.is(StatusCode::NOT_FOUND));
                output::report(&error.into());
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(crate) async fn rename(engine: Engine, args: RenameArgs) -> anyhow::Result<ExitCode> {
    let path = Query::path(&["containers", &args.container, "rename"]).with("name", &args.name);
    engine.act(Method::POST, path.as_str()).await?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn update(engine: Engine, args: UpdateArgs) -> anyhow::Result<ExitCode> {
    let mut host = HostConfig::default();
    args.resources.fill(&mut host)?;
    let body = ContainerUpdateBody {
        cpu_shares: host.cpu_shares,
        cpu_quota: host.cpu_quota,
        cpu_period: host.cpu_period,
        nano_cpus: host.nano_cpus,
        memory: host.memory,
        memory_swap: host.memory_swap,
        memory_reservation: host.memory_reservation,
        pids_limit: host.pids_limit,
        restart_policy: args.restart.as_deref().map(restart_policy).transpose()?,
        ..ContainerUpdateBody::default()
    };
    let (engine, body) = (&engine, &body);
    for_each(&args.names.containers, |name| async move {
        let path = Query::path(&["containers", name, "update"]);
        Ok(engine.act_with(Method::POST, path.as_str(), body).await?)
    })
    .await
}

/// Asks, unless `--force` is given; removes what the engine finds and says what was gained.
pub(crate) async fn prune(
    engine: &Engine,
    kind: &str,
    question: &str,
    args: &PruneArgs,
    filters: &[String],
) -> anyhow::Result<ExitCode> {
    if !args.force && !output::confirmed(question)? {
        return Ok(ExitCode::SUCCESS);
    }
    let filters: Vec<_> = args.filter.iter().chain(filters).cloned().collect();
    let path = Query::path(&[kind, "prune"]).filters(&filters)?;
    let report: Value = engine.act_for(Method::POST, path.as_str()).await?;
    for (name, value) in report.as_object().into_iter().flatten() {
        for item in value.as_array().into_iter().flatten() {
            let text = ["/Deleted", "/Untagged"].map(|path| crate::rows::at(item, path)).concat();
            output::line(if text.is_empty() { item.as_str().unwrap_or(name) } else { &text })?;
        }
    }
    if let Some(bytes) = report.get("SpaceReclaimed").and_then(Value::as_i64) {
        output::line(&format!("Total reclaimed space: {}", crate::units::human(bytes)))?;
    }
    Ok(ExitCode::SUCCESS)
}
