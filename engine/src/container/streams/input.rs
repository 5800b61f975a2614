//! Input of a container.

use std::io;
use std::sync::Arc;

use api::detach_keys::Watcher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, watch};

/// Bytes taken from a client at once.
const CHUNK: usize = 16 * 1024;

/// The way into the guest, while there is one.
pub type InputSink = Box<dyn AsyncWrite + Send + Unpin>;

type Shared = Arc<Mutex<InputSink>>;

/// Where input goes. Clients attach before the container runs, so they may wait for it.
#[derive(Clone)]
pub struct Input {
    sink: watch::Sender<Option<Shared>>,
}

impl Default for Input {
    fn default() -> Self {
        Self { sink: watch::Sender::new(None) }
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("open", &self.sink.borrow().is_some()).finish()
    }
}

/// How giving input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The client has no more.
    ClientEnded,
    /// The container takes no more.
    ContainerEnded,
    /// The client typed the keys that leave it running.
    Left,
}

impl Input {
    /// From now on input goes to `sink`.
    pub fn open(&self, sink: InputSink) {
        self.sink.send_replace(Some(Arc::new(Mutex::new(sink))));
    }

    /// No more is taken.
    pub fn close(&self) {
        self.sink.send_replace(None);
    }

    /// Carries what a client gives into the container, waiting for it to run first. Keys that
    /// `watcher` looks for end it, and do not reach the container.
    pub async fn feed(
        &self,
        mut client: impl AsyncRead + Unpin,
        mut watcher: Option<Watcher>,
    ) -> Given {
        let mut sinks = self.sink.subscribe();
        let Ok(sink) = sinks.wait_for(Option::is_some).await.map(|sink| sink.clone()) else {
            return Given::ContainerEnded;
        };
        let Some(sink) = sink else { return Given::ContainerEnded };
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = tokio::select! {
                read = client.read(&mut buffer) => read,
                _ = sinks.wait_for(Option::is_none) => return Given::ContainerEnded,
            };
            let chunk = match read {
                Ok(0) | Err(_) => return Given::ClientEnded,
                Ok(length) => buffer.get(..length).unwrap_or_default(),
            };
            let watched = watcher.as_mut().map(|watcher| watcher.feed(chunk));
            let (chunk, left) =
                watched.as_ref().map_or((chunk, false), |(typed, left)| (typed.as_slice(), *left));
            let written = tokio::select! {
                written = write(&sink, chunk) => written,
                _ = sinks.wait_for(Option::is_none) => return Given::ContainerEnded,
            };
            if written.is_err() {
                return Given::ContainerEnded;
            }
            if left {
                return Given::Left;
            }
        }
    }
}

async fn write(sink: &Shared, chunk: &[u8]) -> io::Result<()> {
    let mut sink = sink.lock().await;
    sink.write_all(chunk).await?;
    sink.flush().await
}
