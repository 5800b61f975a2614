//! `bulkhead run`, `bulkhead create`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, bail};
use api::detach_keys::DetachKeys;
use bollard_stubs::models::{ContainerCreateBody, ContainerCreateResponse};
use hyper::{Method, StatusCode};

use super::body::Attached;
use super::options::{CreateOptions, Pull};
use super::session::{self, Peer};
use crate::commands::image::pull;
use crate::engine::attach::{Left, Streams};
use crate::engine::{ENGINE_FAILED, Engine, EngineError, Query};
use crate::output;

pub(crate) const HELP: &str = "\
Examples:
  bulkhead run --rm alpine uname -r
  bulkhead run -it --rm debian bash
  bulkhead run -d --name web -p 8080:80 nginx

Ctrl-P Ctrl-Q leaves a container with a terminal running.

Exit status: the container's own; 125 if the engine could not do it, 126 if the
command cannot be run, 127 if it does not exist, 128 and the signal's number if
a signal ended it.";

/// Makes a container and starts it.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct RunArgs {
    /// Leave it running in the background and print its id
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave it running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// Pass signals on to it
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL",
          value_parser = crate::flags::boolean)]
    sig_proxy: bool,
    /// Do not show the progress of a pull
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    options: CreateOptions,
    /// Image to run
    image: String,
    /// Command, instead of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Makes a container.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct CreateArgs {
    /// Do not show the progress of a pull
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    options: CreateOptions,
    /// Image to run
    image: String,
    /// Command, instead of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) async fn run(engine: Engine, args: RunArgs) -> anyhow::Result<ExitCode> {
    match run_container(&engine, &args).await {
        Ok(status) => Ok(status.into()),
        Err(error) => {
            output::report(&error);
            Ok(failure_status(&error).into())
        }
    }
}

async fn run_container(engine: &Engine, args: &RunArgs) -> anyhow::Result<u8> {
    let attached = args.options.attached(args.detach)?;
    if args.options.tty && attached.stdin && !crate::host::terminal::is_interactive() {
        bail!("--tty: standard input is not a terminal");
    }
    let body = args.options.body(&args.image, &args.command, attached)?;
    let id = create(engine, &args.options, &body, args.quiet).await?;
    let start = Query::path(&["containers", &id, "start"]);
    if !attached.any() {
        engine.act(Method::POST, start.as_str()).await?;
        output::line(&id)?;
        return Ok(0);
    }
    let attach = attach_path(&id, attached, args);
    let connection = engine.hijack(attach.as_str(), None).await?;
    let condition = if args.options.rm { "removed" } else { "next-exit" };
    let status = {
        let (engine, id) = (engine.clone(), id.clone());
        tokio::spawn(async move { session::wait(&engine, &id, condition).await })
    };
    let streams =
        Streams { stdin: attached.stdin, tty: args.options.tty, keys: args.detach_keys.clone() };
    let peer = Peer::Container { id: id.clone(), signals: args.sig_proxy };
    let started = async { Ok(engine.act(Method::POST, start.as_str()).await?) };
    match session::talk(engine, &peer, connection, &streams, started).await? {
        Left::Detached => Ok(0),
        Left::Ended => status.await.context("the wait for the container stopped")?,
    }
}

fn attach_path(id: &str, attached: Attached, args: &RunArgs) -> Query {
    Query::path(&["containers", id, "attach"])
        .with("stream", "1")
        .flag("stdin", attached.stdin && args.options.interactive)
        .flag("stdout", attached.stdout)
        .flag("stderr", attached.stderr)
        .with("detachKeys", args.detach_keys.to_string())
}

pub(crate) async fn create_only(engine: Engine, args: CreateArgs) -> anyhow::Result<ExitCode> {
    let attached = args.options.attached(false)?;
    let body = args.options.body(&args.image, &args.command, attached)?;
    let id = create(&engine, &args.options, &body, args.quiet).await?;
    output::line(&id)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the container, pulling its image where that is wanted.
async fn create(
    engine: &Engine,
    options: &CreateOptions,
    body: &ContainerCreateBody,
    quiet: bool,
) -> anyhow::Result<String> {
    let image = body.image.as_deref().unwrap_or_default();
    let platform = options.platform.as_deref();
    if options.pull == Pull::Always {
        pull::pull(engine, image, platform, quiet).await?;
    }
    if let Some(pod) = &options.pod {
        // A missing one must not be taken for a missing image.
        engine.act(Method::GET, Query::path(&["pods", pod]).as_str()).await?;
    }
    let path = Query::path(&["containers", "create"])
        .maybe("name", options.name.as_deref())
        .maybe("pod", options.pod.as_deref())
        .maybe("platform", platform);
    let made = engine.post::<ContainerCreateResponse>(path.as_str(), body).await;
    let made = match made {
        Err(error) if error.is(StatusCode::NOT_FOUND) && options.pull == Pull::Missing => {
            output::note(&format!("Unable to find image '{image}' locally"));
            pull::pull(engine, image, platform, quiet).await?;
            engine.post(path.as_str(), body).await?
        }
        made => made?,
    };
    for warning in &made.warnings {
        output::note(&format!("WARNING: {warning}"));
    }
    if let Some(file) = &options.cidfile {
        fs::write(file, &made.id).with_context(|| format!("--cidfile {file}"))?;
    }
    Ok(made.id)
}

/// 127 and 126 as shells have them where the command is at fault, else 125.
pub(crate) fn failure_status(error: &anyhow::Error) -> u8 {
    let Some(EngineError::Refused { message, .. }) = error.downcast_ref() else {
        return ENGINE_FAILED;
    };
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["executable file not found", "no such file or directory", "system cannot find"]) {
        127
    } else if says(&["permission denied", "not executable", "is a directory"]) {
        126
    } else {
        ENGINE_FAILED
    }
}
