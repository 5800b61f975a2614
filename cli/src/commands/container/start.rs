//! `bulkhead start`, `bulkhead attach`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use api::detach_keys::DetachKeys;
use hyper::Method;
use serde_json::Value;

use super::session::{self, Peer};
use crate::engine::attach::{Left, Streams};
use crate::engine::{Engine, Query, for_each};

/// Starts containers that do not run.
#[derive(clap::Args)]
pub(crate) struct StartArgs {
    /// Show its output
    #[arg(short, long)]
    attach: bool,
    /// Pass input on to it
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave it running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Joins this process's streams to a running container's.
#[derive(clap::Args)]
pub(crate) struct AttachArgs {
    /// Do not pass input on
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to it
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL",
          value_parser = crate::flags::boolean)]
    sig_proxy: bool,
    /// Keys that leave it running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// Name or id
    container: String,
}

pub(crate) async fn start(engine: Engine, args: StartArgs) -> anyhow::Result<ExitCode> {
    if !args.attach && !args.interactive {
        let engine = &engine;
        return for_each(&args.containers, |name| async move {
            let path = Query::path(&["containers", name, "start"]);
            Ok(engine.act(Method::POST, path.as_str()).await?)
        })
        .await;
    }
    let [container] = args.containers.as_slice() else {
        bail!("only one container can be attached to");
    };
    join(&engine, container, args.interactive, true, true, &args.detach_keys).await
}

pub(crate) async fn attach(engine: Engine, args: AttachArgs) -> anyhow::Result<ExitCode> {
    let inspected = inspect(&engine, &args.container).await?;
    if inspected.pointer("/State/Running") != Some(&Value::Bool(true)) {
        bail!("You cannot attach to a stopped container, start it first");
    }
    join(&engine, &args.container, !args.no_stdin, false, args.sig_proxy, &args.detach_keys).await
}

async fn inspect(engine: &Engine, container: &str) -> anyhow::Result<Value> {
    let path = Query::path(&["containers", container, "json"]);
    Ok(engine.get(path.as_str()).await?)
}

async fn join(
    engine: &Engine,
    container: &str,
    stdin: bool,
    start: bool,
    signals: bool,
    keys: &DetachKeys,
) -> anyhow::Result<ExitCode> {
    let config = inspect(engine, container).await?;
    let set = |path: &str| config.pointer(path) == Some(&Value::Bool(true));
    let stdin = stdin && set("/Config/OpenStdin");
    let path = Query::path(&["containers", container, "attach"])
        .with("stream", "1")
        .flag("stdin", stdin)
        .with("stdout", "1")
        .with("stderr", "1")
        .with("detachKeys", keys.to_string());
    let connection = engine.hijack(path.as_str(), None).await?;
    let condition = if start { "next-exit" } else { "not-running" };
    let status = {
        let (engine, id) = (engine.clone(), container.to_owned());
        tokio::spawn(async move { session::wait(&engine, &id, condition).await })
    };
    let streams = Streams { stdin, tty: set("/Config/Tty"), keys: keys.clone() };
    let peer = Peer::Container { id: container.to_owned(), signals };
    let started = async {
        if start {
            let path = Query::path(&["containers", container, "start"]);
            engine.act(Method::POST, path.as_str()).await?;
        }
        Ok(())
    };
    match session::talk(engine, &peer, connection, &streams, started).await? {
        Left::Detached => Ok(ExitCode::SUCCESS),
        Left::Ended => Ok(status.await.context("the wait for the container stopped")??.into()),
    }
}
