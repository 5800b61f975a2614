//! `bulkhead pod ls`, `bulkhead pod inspect`.

use std::process::ExitCode;

use hyper::StatusCode;
use serde_json::Value;

use crate::commands::container::ps::short;
use crate::engine::{Engine, Query};
use crate::output;
use crate::rows::{self, Column, Layout, at, row};

/// Lists pods.
#[derive(clap::Args)]
pub(crate) struct LsArgs {
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    layout: Layout,
}

/// Shows everything about pods.
#[derive(clap::Args)]
pub(crate) struct InspectArgs {
    /// Template such as '{{.state}}', or json
    #[arg(short, long)]
    format: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    pods: Vec<String>,
}

/// Tells whether there is such a pod.
#[derive(clap::Args)]
pub(crate) struct ExistsArgs {
    /// Name or id
    pod: String,
}

const COLUMNS: [Column; 6] = [
    ("POD ID", "ID"),
    ("NAME", "Name"),
    ("STATUS", "Status"),
    ("CONTAINERS", "Containers"),
    ("NETWORKS", "Networks"),
    ("PORTS", "Ports"),
];

pub(super) async fn ls(engine: &Engine, args: LsArgs) -> anyhow::Result<ExitCode> {
    let list: Vec<Value> = engine.get("/pods").await?;
    let rows = list.iter().map(|pod| {
        row([
            ("ID", short(&at(pod, "/id"), args.no_trunc)),
            ("Name", at(pod, "/name")),
            ("Status", at(pod, "/state")),
            ("Containers", each(pod, "containers", |container| at(container, "/name"))),
            ("Networks", each(pod, "networks", rows::text)),
            ("Ports", each(pod, "ports", port)),
            ("Created", at(pod, "/created")),
        ])
    });
    let rows: Vec<_> = rows.collect();
    if args.quiet {
        rows.iter().try_for_each(|row| output::line(&at(&row["ID"], "")))?;
    } else {
        args.layout.print(&COLUMNS, &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn each(pod: &Value, field: &str, show: impl Fn(&Value) -> String) -> String {
    let items = pod[field].as_array().into_iter().flatten();
    items.map(show).collect::<Vec<_>>().join(", ")
}

fn port(port: &Value) -> String {
    format!("{}:{}->{}", at(port, "/host_address"), at(port, "/host_port"), at(port, "/port"))
}

pub(super) async fn inspect(engine: &Engine, args: InspectArgs) -> anyhow::Result<ExitCode> {
    let mut found = Vec::new();
    for pod in &args.pods {
        found.push(engine.get::<Value>(Query::path(&["pods", pod]).as_str()).await?);
    }
    rows::inspected(&found, args.format.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn exists(engine: &Engine, args: ExistsArgs) -> anyhow::Result<ExitCode> {
    match engine.get::<Value>(Query::path(&["pods", &args.pod]).as_str()).await {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) if error.is(StatusCode::NOT_FOUND) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error.into()),
    }
}
