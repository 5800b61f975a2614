//! Finding the engine, or starting it.

use std::env;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use launch::engine_folder;

use super::client::{Engine, EngineError};

/// How long an engine may take from its start until it serves.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Where the engine of this user listens: `/run/bulkhead/bulkhead.sock` for root, below
/// `$XDG_RUNTIME_DIR` for others, unless `BULKHEAD_RUNTIME` names another folder.
pub(crate) fn default_socket() -> PathBuf {
    engine_folder().join("bulkhead.sock")
}

/// The socket that `host` names: `unix:///path`, or a path.
fn socket(host: &str) -> anyhow::Result<PathBuf> {
    let path = host.strip_prefix("unix://").unwrap_or(host);
    if path.contains("://") || !path.starts_with('/') {
        bail!("--host {host}: expected unix:///path/to/socket");
    }
    Ok(PathBuf::from(path))
}

/// The engine: at `host`, where that is given and an engine must be running, else this user's,
/// which is started where it does not run.
pub(crate) async fn connect(host: Option<&str>) -> anyhow::Result<Engine> {
    if let Some(host) = host {
        let engine = Engine::new(socket(host)?);
        engine.ping().await?;
        return Ok(engine);
    }
    let engine = Engine::new(default_socket());
    let folder = engine_folder();
    if folder.exists() {
        // One that listens in somebody else's folder is not this user's engine.
        launch::own(&folder)?;
    }
    match engine.ping().await {
        Ok(()) => Ok(engine),
        Err(EngineError::Connect { .. }) => {
            let started = start(&folder).await;
            // Another command may have started one at the same time, and was quicker.
            match (engine.ping().await, started) {
                (Ok(()), _) => Ok(engine),
                (Err(_), Err(error)) => Err(error),
                (Err(error), Ok(())) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// The program, which lies beside this one.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("failed to find this program's own file")?;
    let beside = own.with_file_name("bulkhead-engine");
    if beside.exists() {
        return Ok(beside);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join("bulkhead-engine"));
    let found = found.into_iter().find(|file| file.exists());
    found
        .with_context(|| format!("bulkhead-engine is neither beside {} nor in PATH", own.display()))
}

/// Starts an engine in the background and waits until it says that it serves.
async fn start(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    launch::own(folder)?;
    let log = folder.join("engine.log");
    let notify = tempfile::tempdir_in(folder).context("failed to make a folder")?;
    let socket = notify.path().join("ready");
    let ready = UnixDatagram::bind(&socket).context("failed to make a socket")?;
    ready.set_nonblocking(true)?;
    let ready = tokio::net::UnixDatagram::from_std(ready)?;
    let mut child = spawn(&program()?, &log, &socket)?;
    let ended = tokio::task::spawn_blocking(move || child.wait());
    tokio::select! {
        result = is_ready(&ready) => result.context("failed to hear from the engine"),
        status = ended => {
            let status = status?.context("failed to wait for the engine")?;
            bail!("the engine did not start ({status}): {}", last_lines(&log));
        }
        () = tokio::time::sleep(START_LIMIT) => {
            bail!("the engine does not serve after {} s; see {}", START_LIMIT.as_secs(), log.display())
        }
    }
}

fn spawn(program: &Path, log: &Path, notify: &Path) -> anyhow::Result<Child> {
    let output = fs::OpenOptions::new().create(true).append(true).open(log);
    let output = output.with_context(|| format!("failed to open {}", log.display()))?;
    Command::new(program)
        .env("NOTIFY_SOCKET", notify)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .process_group(0)
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))
}

async fn is_ready(socket: &tokio::net::UnixDatagram) -> anyhow::Result<()> {
    let mut message = [0; 4096];
    loop {
        let length = socket.recv(&mut message).await?;
        let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
        if text.lines().any(|line| line == "READY=1") {
            return Ok(());
        }
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_unix_sockets() {
        assert_eq!(socket("unix:///run/x.sock").unwrap(), Path::new("/run/x.sock"));
        assert_eq!(socket("/run/x.sock").unwrap(), Path::new("/run/x.sock"));
        let error = socket("tcp://127.0.0.1:2375").unwrap_err().to_string();
        assert!(error.contains("tcp://127.0.0.1:2375"), "{error}");
    }
}
