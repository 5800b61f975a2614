//! A container's standard streams: from the guest to the log and to whoever is attached, and from
//! those to the guest.
//!
//! ```text
//!   guest ══ vsock ══► pump ──► log (always first)
//!                       └─────► clients, each with a bounded queue
//!   clients ──► input ══ vsock ══► guest
//! ```
//!
//! Whatever is read goes to the log first. Then each attached client gets it; one that does not
//! read fills its queue, and after that the container waits for it, as with Docker: nothing is
//! lost and nothing grows. Those who only follow the log hold up nobody.

mod input;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

pub use self::input::{Given, Input, InputSink};
use super::logs::{Log, Source};

/// Bytes read from the guest at once.
const CHUNK: usize = 32 * 1024;
/// Chunks that wait for a client.
const WAITING: usize = 16;

/// The streams of a container, through all its runs.
#[derive(Clone, Debug)]
pub struct Streams {
    log: Log,
    clients: Arc<Mutex<Clients>>,
    /// Where input goes while a run takes some.
    pub input: Input,
}

#[derive(Debug, Default)]
struct Clients {
    list: Vec<ClientQueue>,
    last: u64,
}

#[derive(Clone, Debug)]
struct ClientQueue {
    id: u64,
    stdout: bool,
    stderr: bool,
    queue: mpsc::Sender<(Source, Bytes)>,
}

/// What an attached client gets; the end of a run ends it.
#[derive(Debug)]
pub struct Attached {
    chunks: mpsc::Receiver<(Source, Bytes)>,
}

impl Attached {
    /// The next chunk, or none when the run is over.
    pub async fn next(&mut self) -> Option<(Source, Bytes)> {
        self.chunks.recv().await
    }
}

impl Streams {
    /// Streams that are logged to `log`.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log, clients: Arc::default(), input: Input::default() }
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Adds a client for these streams, from now on to the end of this run, or of the next one if
    /// none is going on.
    #[must_use]
    pub fn attach(&self, stdout: bool, stderr: bool) -> Attached {
        let (queue, chunks) = mpsc::channel(WAITING);
        let mut clients = self.clients();
        clients.last += 1;
        let id = clients.last;
        clients.list.push(ClientQueue { id, stdout, stderr, queue });
        Attached { chunks }
    }

    /// Carries a stream of the guest until it ends.
    pub async fn pump(&self, source: Source, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        loop {
            buffer.reserve(CHUNK);
            match stream.read_buf(&mut buffer).await {
                // A connection that breaks has no more to say either.
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let chunk = buffer.split().freeze();
            self.log.append(source, &chunk);
            self.give(source, &chunk).await;
        }
    }

    /// Gives a chunk to the clients, waiting for those whose queues are full.
    async fn give(&self, source: Source, chunk: &Bytes) {
        let wants = |client: &&ClientQueue| match source {
            Source::Stdout => client.stdout,
            Source::Stderr => client.stderr,
        };
        let interested: Vec<_> = self.clients().list.iter().filter(wants).cloned().collect();
        for client in interested {
            if client.queue.send((source, chunk.clone())).await.is_err() {
                self.clients().list.retain(|other| other.id != client.id);
            }
        }
    }

    /// The run is over: clients are let go, and those who follow the log come to its end.
    pub fn end_run(&self) {
        self.log.end();
        self.input.close();
        self.clients().list.clear();
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
