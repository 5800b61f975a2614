//! Pods: several containers in one machine.

mod create;
mod prefixed;
mod prune;
mod show;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;
use hyper::Method;

use crate::engine::{Query, for_each, with_engine};

pub(crate) const HELP: &str = "\
The containers of a pod share a machine: they reach each other on 127.0.0.1,
have one host name and one address in their networks, and the pod's memory and
processors. Each has an image, files and limits of its own. Ports are published
by the pod.

Examples:
  bulkhead pod create --name shop -p 8080:80
  bulkhead create --pod shop --name web nginx
  bulkhead create --pod shop --name cache redis
  bulkhead pod start shop
  bulkhead pod ls
  bulkhead logs web
  bulkhead pod rm -f shop

A machine gets its disks when it starts: containers are made before their pod
starts, and those that come later are in it from its next start on.";

#[derive(Subcommand)]
pub(crate) enum Group {
    /// Make a pod
    #[command(after_help = HELP)]
    Create(create::CreateArgs),
    /// List pods
    #[command(alias = "list", alias = "ps")]
    Ls(show::LsArgs),
    /// Show everything about pods
    Inspect(show::InspectArgs),
    /// Start pods: their machines and all their containers
    Start(Pods),
    /// Stop all containers of pods, and end their machines
    Stop(StopArgs),
    /// Stop pods that run, and start them
    Restart(StopArgs),
    /// Freeze all containers of pods
    Pause(Pods),
    /// Let containers of pods go on
    Unpause(Pods),
    /// Send a signal to all containers of pods; KILL ends their machines too
    Kill(KillArgs),
    /// Remove pods and their containers
    #[command(alias = "remove")]
    Rm(RmArgs),
    /// Remove all pods that do not run, and their containers
    Prune(prune::PruneArgs),
    /// Show what the containers of pods have written
    Logs(watch::LogsArgs),
    /// Show what the containers of pods use
    Stats(watch::StatsArgs),
    /// Show the processes of pods
    Top(watch::TopArgs),
    /// Tell by the exit status whether there is such a pod: 0, or else 1
    Exists(show::ExistsArgs),
}

/// Pods, by name or id.
#[derive(clap::Args)]
pub(crate) struct Pods {
    /// Names or ids
    #[arg(required = true, value_name = "POD")]
    pods: Vec<String>,
}

/// Stops pods.
#[derive(clap::Args)]
pub(crate) struct StopArgs {
    /// Seconds until containers are killed (default: each one's own)
    #[arg(short = 't', long = "timeout", alias = "time", value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    pods: Pods,
}

/// Sends a signal.
#[derive(clap::Args)]
pub(crate) struct KillArgs {
    /// Signal, by name or number
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    #[command(flatten)]
    pods: Pods,
}

/// Removes pods.
#[derive(clap::Args)]
pub(crate) struct RmArgs {
    /// Kill those that run
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    pods: Pods,
}

pub(crate) fn run(host: Option<&str>, group: Group) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| async move {
        let engine_of = &engine;
        let act = |method: Method, path: Query| async move {
            Ok(engine_of.act(method, path.as_str()).await?)
        };
        let verb = |pod: &str, verb: &str| Query::path(&["pods", pod, verb]);
        match group {
            Group::Create(args) => create::create(&engine, args).await,
            Group::Ls(args) => show::ls(&engine, args).await,
            Group::Inspect(args) => show::inspect(&engine, args).await,
            Group::Start(args) => {
                for_each(&args.pods, |pod| act(Method::POST, verb(pod, "start"))).await
            }
            Group::Stop(args) => {
                let stop = |pod: &str| verb(pod, "stop").maybe("t", args.timeout);
                for_each(&args.pods.pods, |pod| act(Method::POST, stop(pod))).await
            }
            Group::Restart(args) => {
                let restart = |pod: &str| verb(pod, "restart").maybe("t", args.timeout);
                for_each(&args.pods.pods, |pod| act(Method::POST, restart(pod))).await
            }
            Group::Pause(args) => {
                for_each(&args.pods, |pod| act(Method::POST, verb(pod, "pause"))).await
            }
            Group::Unpause(args) => {
                for_each(&args.pods, |pod| act(Method::POST, verb(pod, "unpause"))).await
            }
            Group::Kill(args) => {
                let kill = |pod: &str| verb(pod, "kill").with("signal", &args.signal);
                for_each(&args.pods.pods, |pod| act(Method::POST, kill(pod))).await
            }
            Group::Rm(args) => {
                let rm = |pod: &str| Query::path(&["pods", pod]).flag("force", args.force);
                for_each(&args.pods.pods, |pod| act(Method::DELETE, rm(pod))).await
            }
            Group::Prune(args) => prune::prune(&engine, args).await,
            Group::Logs(args) => watch::logs(&engine, args).await,
            Group::Stats(args) => watch::stats(&engine, args).await,
            Group::Top(args) => watch::top(&engine, args).await,
            Group::Exists(args) => show::exists(&engine, args).await,
        }
    })
}
