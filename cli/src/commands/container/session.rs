//! A conversation with a container or a command in it: streams, signals, the terminal's size.

use futures_util::StreamExt;
use hyper::Method;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::engine::attach::{Conversation, Left, Streams};
use crate::engine::{Engine, Query};
use crate::host::terminal;

/// With whom.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// The first process of a container. Signals are passed on to it if that is wanted.
    Container { id: String, signals: bool },
    /// A command.
    Exec { id: String },
}

/// Signals that are passed on, with their names.
const SIGNALS: [(SignalKind, &str); 5] = [
    (SignalKind::interrupt(), "SIGINT"),
    (SignalKind::terminate(), "SIGTERM"),
    (SignalKind::hangup(), "SIGHUP"),
    (SignalKind::quit(), "SIGQUIT"),
    (SignalKind::user_defined1(), "SIGUSR1"),
];

/// Talks until one side leaves. `started` is done once the streams are joined.
pub(crate) async fn talk(
    engine: &Engine,
    peer: &Peer,
    connection: TokioIo<Upgraded>,
    streams: &Streams,
    started: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Left> {
    let mut signals = passed_on(peer, streams.tty && streams.stdin)?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut conversation = Conversation::start(connection, streams)?;
    started.await?;
    if streams.tty {
        resize(engine, peer).await;
    }
    let ended = conversation.finish();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            left = &mut ended => return left,
            Some(name) = signals.recv() => {
                if let Peer::Container { id, .. } = peer {
                    let path = Query::path(&["containers", id, "kill"]).with("signal", name);
                    // It may have ended in this moment.
                    let _ = engine.act(Method::POST, path.as_str()).await;
                }
            }
            _ = resized.recv(), if streams.tty => resize(engine, peer).await,
        }
    }
}

/// The names of signals that this process gets. With a terminal in raw mode its keys are the
/// container's already.
fn passed_on(peer: &Peer, raw: bool) -> anyhow::Result<mpsc::Receiver<&'static str>> {
    let (sender, receiver) = mpsc::channel(8);
    let wanted = matches!(peer, Peer::Container { signals: true, .. });
    let kinds = SIGNALS
        .into_iter()
        .filter(|(kind, _)| wanted && !(raw && *kind == SignalKind::interrupt()));
    for (kind, name) in kinds {
        let mut stream = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(name).await.is_err() {
                    return;
                }
            }
        });
    }
    // Kept open where there are none, so that waiting for one is waiting.
    tokio::spawn(async move { sender.closed().await });
    Ok(receiver)
}

/// Tells the size of this terminal.
async fn resize(engine: &Engine, peer: &Peer) {
    let Some((rows, columns)) = terminal::size() else { return };
    let path = match peer {
        Peer::Container { id, .. } => Query::path(&["containers", id, "resize"]),
        Peer::Exec { id } => Query::path(&["exec", id, "resize"]),
    };
    let path = path.with("h", rows.to_string()).with("w", columns.to_string());
    // What has just ended has no terminal any more.
    let _ = engine.act(Method::POST, path.as_str()).await;
}

/// Waits until a container meets `condition`; gives its exit status.
pub(crate) async fn wait(engine: &Engine, id: &str, condition: &str) -> anyhow::Result<u8> {
    let path = Query::path(&["containers", id, "wait"]).with("condition", condition);
    let mut answers = engine
        .lines::<bollard_stubs::models::ContainerWaitResponse>(
            Method::POST,
            path.as_str(),
            None,
            &[],
        )
        .await?;
    let Some(answer) = answers.next().await else {
        anyhow::bail!("the engine did not say how {id} ended");
    };
    let answer = answer?;
    if let Some(message) = answer.error.and_then(|error| error.message) {
        anyhow::bail!("{message}");
    }
    Ok(u8::try_from(answer.status_code & 0xff).unwrap_or(u8::MAX))
}
