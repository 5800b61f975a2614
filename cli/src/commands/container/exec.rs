//! `bulkhead exec`.

use std::process::ExitCode;

use anyhow::bail;
use api::detach_keys::DetachKeys;
use bollard_stubs::models::{ExecConfig, ExecStartConfig};
use serde_json::{Value, json};

use super::body::environment;
use super::run::failure_status;
use super::session::{self, Peer};
use crate::engine::attach::{Left, Streams};
use crate::engine::client::whole;
use crate::engine::{ENGINE_FAILED, Engine, Query};
use crate::output;

pub(crate) const HELP: &str = "\
Examples:
  bulkhead exec web cat /etc/hostname
  bulkhead exec -it web sh

Exit status: that of the command; 126 if it cannot be run, 127 if it does not
exist, 1 if the engine could not do it.";

/// Runs a command in a running container.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave it running in the background
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave it running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// Set an environment variable; without a value, this one's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Pass input on to it
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// All capabilities
    #[arg(long)]
    privileged: bool,
    /// User, by name or number, with :GROUP if wanted
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Name or id of the container
    container: String,
    /// The command
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<String>,
}

pub(crate) async fn run(engine: Engine, args: Args) -> anyhow::Result<ExitCode> {
    match exec(&engine, &args).await {
        Ok(status) => Ok(status.into()),
        Err(error) => {
            output::report(&error);
            // As Docker's command has it: 125 is for containers that did not come to be.
            let status = failure_status(&error);
            Ok(if status == ENGINE_FAILED { 1 } else { status }.into())
        }
    }
}

async fn exec(engine: &Engine, args: &Args) -> anyhow::Result<u8> {
    if args.tty && args.interactive && !args.detach && !crate::host::terminal::is_interactive() {
        bail!("--tty: standard input is not a terminal");
    }
    let config = ExecConfig {
        attach_stdin: Some(args.interactive && !args.detach),
        attach_stdout: Some(!args.detach),
        attach_stderr: Some(!args.detach),
        tty: Some(args.tty),
        detach_keys: Some(args.detach_keys.to_string()),
        env: Some(environment(&args.env, &args.env_file)?),
        cmd: Some(args.command.clone()),
        privileged: Some(args.privileged),
        user: args.user.clone(),
        working_dir: args.workdir.clone(),
        ..ExecConfig::default()
    };
    let path = Query::path(&["containers", &args.container, "exec"]);
    let made: Value = engine.post(path.as_str(), &config).await?;
    let id = crate::rows::at(&made, "/Id");
    let start = Query::path(&["exec", &id, "start"]);
    if args.detach {
        let body = json!({ "Detach": true, "Tty": args.tty });
        engine.act_with(hyper::Method::POST, start.as_str(), &body).await?;
        return Ok(0);
    }
    let size = crate::host::terminal::size().filter(|_| args.tty);
    let body = ExecStartConfig {
        detach: Some(false),
        tty: Some(args.tty),
        console_size: size.map(|(rows, columns)| vec![rows.into(), columns.into()]),
    };
    let body = whole(serde_json::to_vec(&body)?);
    let connection = engine.hijack(start.as_str(), Some(body)).await?;
    let streams =
        Streams { stdin: args.interactive, tty: args.tty, keys: args.detach_keys.clone() };
    let peer = Peer::Exec { id: id.clone() };
    match session::talk(engine, &peer, connection, &streams, async { Ok(()) }).await? {
        Left::Detached => Ok(0),
        Left::Ended => {
            let inspect = Query::path(&["exec", &id, "json"]);
            let state: Value = engine.get(inspect.as_str()).await?;
            let code = state.get("ExitCode").and_then(Value::as_i64);
            let Some(code) = code else { bail!("the engine did not say how the command ended") };
            Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
        }
    }
}
