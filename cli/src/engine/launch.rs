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
        ping_again(&engine).await?;
        return Ok(engine);
    }
    let engine = Engine::new(default_socket());
    let folder = engine_folder();
    if folder.exists() {
        // One that listens in somebody else's folder is not this user's engine.
        launch::own(&folder)?;
    }
    ping_or_start(&engine, async || start(&folder).await).await?;
    Ok(engine)
}

/// Asks once more where an engine went before it answered: that one was killed, and the socket may
/// be a service manager's, where the next one answers. Only this first question is repeated: of
/// others nobody knows whether they had their effect.
async fn ping_again(engine: &Engine) -> Result<(), EngineError> {
    match engine.ping().await {
        Err(EngineError::Request { .. }) => engine.ping().await,
        result => result,
    }
}

/// Has an engine started where none is, or where the one that was asked went before it answered.
async fn ping_or_start(
    engine: &Engine,
    start: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match engine.ping().await {
        Err(EngineError::Connect { .. } | EngineError::Request { .. }) => {
            let started = start().await;
            // Another command may have started one at the same time, and was quicker.
            match (engine.ping().await, started) {
                (Ok(()), _) => Ok(()),
                (Err(_), Err(error)) => Err(error),
                (Err(error), Ok(())) => Err(error.into()),
            }
        }
        result => Ok(result?),
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn hosts_are_unix_sockets() {
        assert_eq!(socket("unix:///run/x.sock").unwrap(), Path::new("/run/x.sock"));
        assert_eq!(socket("/run/x.sock").unwrap(), Path::new("/run/x.sock"));
        let error = socket("tcp://127.0.0.1:2375").unwrap_err().to_string();
        assert!(error.contains("tcp://127.0.0.1:2375"), "{error}");
    }

    /// Takes a client and goes before it answers, as a process that is killed.
    async fn hang_up(listener: &UnixListener) {
        let (mut client, _) = listener.accept().await.unwrap();
        client.read_exact(&mut [0; 16]).await.unwrap();
    }

    async fn answer(listener: &UnixListener) {
        let (mut client, _) = listener.accept().await.unwrap();
        client.read_exact(&mut [0; 16]).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await.unwrap();
    }

    #[tokio::test]
    async fn engine_that_goes_as_it_is_asked_is_started_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let killed = tokio::spawn(async move { hang_up(&listener).await });
        let start = async || {
            fs::remove_file(&path)?;
            let listener = UnixListener::bind(&path)?;
            tokio::spawn(async move { answer(&listener).await });
            Ok(())
        };
        ping_or_start(&Engine::new(path.clone()), start).await.unwrap();
        killed.await.unwrap();
    }

    #[tokio::test]
    async fn engine_of_a_service_manager_that_goes_as_it_is_asked_is_asked_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let host = format!("unix://{}", path.display());
        let serving = tokio::spawn(async move {
            hang_up(&listener).await;
            answer(&listener).await;
            hang_up(&listener).await;
            hang_up(&listener).await;
        });
        connect(Some(&host)).await.unwrap();
        let error = connect(Some(&host)).await.unwrap_err().to_string();
        assert_eq!(error, "Failed to ask the engine for /_ping");
        serving.await.unwrap();
    }
}
