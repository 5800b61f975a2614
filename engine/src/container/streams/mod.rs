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
//! read fills its queue, of as many bytes as with Docker, and after that the container waits for
//! it, as there: nothing is lost and nothing grows. Those who only follow the log hold up nobody.

mod input;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub use self::input::{Given, Input, InputSink};
use super::logs::{Log, Source};

/// Bytes read from the guest at once.
const CHUNK: usize = 32 * 1024;
/// Bytes that wait for a client before the container does: Docker's number.
const WAITING: u32 = 1_000_000;
/// What a chunk counts at least, so that many small ones do not take much more memory.
const LEAST: u32 = 256;
/// Shorter chunks are copied out of the buffer, which would be kept for each of them otherwise.
const SHORT: usize = CHUNK / 4;

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
    queue: mpsc::UnboundedSender<Waiting>,
    /// Bytes that may still be queued; closed when the client has gone.
    room: Arc<Semaphore>,
}

impl ClientQueue {
    /// Waits for room; tells whether the client is still there.
    async fn give(&self, source: Source, chunk: Bytes) -> bool {
        let size = u32::try_from(chunk.len()).unwrap_or(WAITING).clamp(LEAST, WAITING);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await else { return false };
        self.queue.send(Waiting { source, chunk, _room: room }).is_ok()
    }
}

/// A chunk on its way to a client.
#[derive(Debug)]
struct Waiting {
    source: Source,
    chunk: Bytes,
    _room: OwnedSemaphorePermit,
}

/// What an attached client gets; the end of a run ends it.
#[derive(Debug)]
pub struct Attached {
    chunks: mpsc::UnboundedReceiver<Waiting>,
    room: Arc<Semaphore>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.room.close();
    }
}

impl Attached {
    /// The next chunk, or none when the run is over.
    pub async fn next(&mut self) -> Option<(Source, Bytes)> {
        self.chunks.recv().await.map(|waiting| (waiting.source, waiting.chunk))
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
        let (queue, chunks) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(usize::try_from(WAITING).unwrap_or(usize::MAX)));
        let mut clients = self.clients();
        clients.last += 1;
        let id = clients.last;
        clients.list.push(ClientQueue { id, stdout, stderr, queue, room: Arc::clone(&room) });
        Attached { chunks, room }
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
            self.log.append(source, &buffer);
            self.give(source, &mut buffer).await;
        }
    }

    /// Gives what was read to the clients, waiting for those whose queues are full.
    async fn give(&self, source: Source, buffer: &mut BytesMut) {
        let wants = |client: &&ClientQueue| match source {
            Source::Stdout => client.stdout,
            Source::Stderr => client.stderr,
        };
        let interested: Vec<_> = self.clients().list.iter().filter(wants).cloned().collect();
        if interested.is_empty() {
            return buffer.clear();
        }
        let read = buffer.split();
        let chunk = if read.len() < SHORT { Bytes::copy_from_slice(&read) } else { read.freeze() };
        for client in interested {
            if !client.give(source, chunk.clone()).await {
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

    /// Until the client that attached first has gone.
    #[cfg(test)]
    pub(super) async fn first_has_gone(&self) {
        let first = self.clients().list.first().map(|client| client.queue.clone());
        if let Some(queue) = first {
            queue.closed().await;
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
