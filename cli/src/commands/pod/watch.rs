//! `bulkhead pod logs`, `bulkhead pod stats`, `bulkhead pod top`: what the containers of pods do.

use std::io;
use std::process::ExitCode;

use futures_util::future::try_join_all;
use serde_json::Value;

use super::prefixed::Prefixed;
use crate::commands::container::show::{self, LogOptions};
use crate::engine::{Engine, Query};
use crate::output;
use crate::rows::{Layout, at};

/// Shows what the containers of pods have written, each line with its container's name.
#[derive(clap::Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    options: LogOptions,
    /// Names or ids
    #[arg(required = true)]
    pods: Vec<String>,
}

/// Shows what the containers of pods use.
#[derive(clap::Args)]
pub(crate) struct StatsArgs {
    /// Once, instead of going on
    #[arg(long)]
    no_stream: bool,
    #[command(flatten)]
    layout: Layout,
    /// Names or ids (default: all)
    pods: Vec<String>,
}

/// The processes of the containers of a pod.
#[derive(clap::Args)]
pub(crate) struct TopArgs {
    /// Name or id
    pod: String,
    /// Options for ps
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

struct Member {
    id: String,
    name: String,
    runs: bool,
}

/// The containers of these pods, or of all where none is named.
async fn members(engine: &Engine, pods: &[String]) -> anyhow::Result<Vec<Member>> {
    let mut found: Vec<Value> = Vec::new();
    if pods.is_empty() {
        found = engine.get("/pods").await?;
    }
    for pod in pods {
        found.push(engine.get(Query::path(&["pods", pod]).as_str()).await?);
    }
    let all = found.iter().flat_map(|pod| pod["containers"].as_array().into_iter().flatten());
    let member = |container: &Value| Member {
        id: at(container, "/id"),
        name: at(container, "/name"),
        runs: matches!(at(container, "/state").as_str(), "running" | "paused"),
    };
    Ok(all.map(member).collect())
}

pub(super) async fn logs(engine: &Engine, args: LogsArgs) -> anyhow::Result<ExitCode> {
    let members = members(engine, &args.pods).await?;
    let width = members.iter().map(|member| member.name.len()).max().unwrap_or_default();
    let options = &args.options;
    let reading = members.iter().map(async |member| {
        let prefix = format!("{:width$} | ", member.name);
        let mut out = Prefixed::new(prefix.clone(), io::stdout());
        let mut err = Prefixed::new(prefix, io::stderr());
        show::copy_log(engine, &member.id, options, &mut out, &mut err).await
    });
    try_join_all(reading).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn stats(engine: &Engine, args: StatsArgs) -> anyhow::Result<ExitCode> {
    let names = async || -> anyhow::Result<Vec<String>> {
        let running = members(engine, &args.pods).await?.into_iter().filter(|member| member.runs);
        Ok(running.map(|member| member.id).collect())
    };
    show::watch(engine, names, false, args.no_stream, &args.layout).await
}

pub(super) async fn top(engine: &Engine, args: TopArgs) -> anyhow::Result<ExitCode> {
    let options = (!args.options.is_empty()).then(|| args.options.join(" "));
    let mut titles = Vec::new();
    let mut processes = Vec::new();
    let members = members(engine, &[args.pod]).await?;
    for member in members.iter().filter(|member| member.runs) {
        let path = Query::path(&["containers", &member.id, "top"]);
        let list: Value = engine.get(path.maybe("ps_args", options.clone()).as_str()).await?;
        let named = |name: &str, row: &Value| [vec![name.to_owned()], show::cells(row)].concat();
        titles = named("CONTAINER", &list["Titles"]);
        let rows = list["Processes"].as_array().into_iter().flatten();
        processes.extend(rows.map(|row| named(&member.name, row)));
    }
    output::table(titles, processes)?;
    Ok(ExitCode::SUCCESS)
}
