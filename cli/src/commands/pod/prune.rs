//! `bulkhead pod prune`.

use std::process::ExitCode;

use hyper::Method;
use serde_json::Value;

use crate::engine::{Engine, Query, for_each};
use crate::output;
use crate::rows::at;

/// Removes pods that do not run.
#[derive(clap::Args)]
pub(crate) struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(super) async fn prune(engine: &Engine, args: PruneArgs) -> anyhow::Result<ExitCode> {
    let what = "This will remove all pods that do not run, and their containers.";
    if !args.force && !output::confirmed(what)? {
        return Ok(ExitCode::SUCCESS);
    }
    let list: Vec<Value> = engine.get("/pods").await?;
    let idle = list.iter().filter(|pod| at(pod, "/state") != "running");
    let ids: Vec<_> = idle.map(|pod| at(pod, "/id")).collect();
    // Without force: one that was started meanwhile stays.
    for_each(&ids, |id| async move {
        Ok(engine.act(Method::DELETE, Query::path(&["pods", id]).as_str()).await?)
    })
    .await
}
