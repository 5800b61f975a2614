//! This process's streams as those of a container or a command in one.

use std::io::{self, Read};
use std::thread;

use anyhow::Context;
use api::detach_keys::{DetachKeys, Watcher};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::frames;
use crate::host::terminal::RawMode;

/// How a conversation over a hijacked connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The other side closed it.
    Ended,
    /// The user typed the detach keys.
    Detached,
}

/// What is joined to what.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    /// Pass standard input on.
    pub(crate) stdin: bool,
    /// The other side is a terminal.
    pub(crate) tty: bool,
    /// Keys that leave, with a terminal.
    pub(crate) keys: DetachKeys,
}

/// A running conversation.
pub(crate) struct Conversation {
    output: JoinHandle<io::Result<()>>,
    detached: mpsc::Receiver<()>,
    raw: Option<RawMode>,
}

impl Conversation {
    /// Joins this process's streams to the connection.
    pub(crate) fn start(connection: TokioIo<Upgraded>, streams: &Streams) -> anyhow::Result<Self> {
        let raw = if streams.tty && streams.stdin {
            RawMode::enter().context("failed to set up the terminal")?
        } else {
            None
        };
        let (reader, writer) = tokio::io::split(connection);
        let tty = streams.tty;
        let output = tokio::spawn(async move {
            if tty {
                frames::copy(reader, &mut io::stdout()).await
            } else {
                frames::demultiplex(reader, &mut io::stdout(), &mut io::stderr()).await
            }
        });
        let (leave, detached) = mpsc::channel(1);
        if streams.stdin {
            let watcher = streams.tty.then(|| Watcher::new(&streams.keys));
            tokio::spawn(pass_input(writer, read_input()?, watcher, leave));
        } else {
            // Kept open: the end of this direction would be the end of the container's input.
            tokio::spawn(async move {
                let _open = writer;
                leave.closed().await;
            });
        }
        Ok(Self { output, detached, raw })
    }

    /// Waits for its end. The terminal is as before afterwards.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<Left> {
        let left = tokio::select! {
            result = &mut self.output => {
                match result.context("the output stopped")? {
                    // Nobody reads what the container writes any more.
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
                    result => result.context("failed to pass output on")?,
                }
                Left::Ended
            }
            Some(()) = self.detached.recv() => Left::Detached,
        };
        self.raw = None;
        Ok(left)
    }
}

/// Reads standard input on a thread of its own: such a read cannot be given up.
fn read_input() -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(4);
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut input = io::stdin().lock();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let got = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let part = buffer.get(..got).unwrap_or_default().to_vec();
            if sender.blocking_send(part).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

async fn pass_input(
    mut to: WriteHalf<TokioIo<Upgraded>>,
    mut typed: mpsc::Receiver<Vec<u8>>,
    mut watcher: Option<Watcher>,
    leave: mpsc::Sender<()>,
) {
    while let Some(bytes) = typed.recv().await {
        let (bytes, left) = match &mut watcher {
            Some(watcher) => watcher.feed(&bytes),
            None => (bytes, false),
        };
        // A container that reads no more is not at fault; its input just ends.
        if write(&mut to, &bytes).await.is_err() {
            return;
        }
        if left {
            let _ = leave.send(()).await;
            return;
        }
    }
    let _ = to.shutdown().await;
    leave.closed().await;
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}
