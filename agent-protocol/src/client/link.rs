//! One control connection: requests out, replies back to whoever asked.

use std::{
    collections::HashMap,
    io::{self, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use crate::{
    frame::{self, Decoder, FrameTooLong, Next},
    message::{Failure, FailureKind, FromAgent, Reply, Request, ToAgent},
};

use super::ConnectError;

/// The most replies that one request has: started and exited.
const REPLIES: usize = 2;

/// A request to the agent failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The agent could not do it.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The connection to the agent ended.
    #[error("Lost the connection to the agent")]
    Lost,
    /// The agent's reply does not fit the request.
    #[error("The agent answered with the wrong kind of message")]
    Unexpected,
    /// The request is too long to send.
    #[error("Failed to send the request to the agent")]
    TooLong(#[source] FrameTooLong),
    /// A command's stream could not be connected.
    #[error("Failed to connect a stream of the command")]
    Stream(#[source] ConnectError),
    /// A command's stream failed.
    #[error("Failed to transfer a stream of the command")]
    Transfer(#[source] io::Error),
}

impl CallError {
    /// The agent's kind of failure, if it was the agent that failed.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Failed(failure) => Some(failure.kind()),
            _ => None,
        }
    }

    /// The exit status by which a shell or a container engine reports that a command could not be
    /// run: 127 not found, 126 not executable, 125 anything else.
    #[must_use]
    pub fn shell_code(&self) -> u8 {
        match self.kind() {
            Some(FailureKind::ProgramNotFound) => 127,
            Some(FailureKind::NotExecutable) => 126,
            _ => 125,
        }
    }
}

/// The requests that await replies; `None` once the connection has ended.
type Waiting = Option<HashMap<u64, SyncSender<Reply>>>;

/// The connection and who waits on it.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    /// Held while a frame is written, so that frames do not mix. Not needed to shut down: an agent
    /// that reads nothing must not keep the client from closing.
    writing: Mutex<()>,
    waiting: Mutex<Waiting>,
    lost: Condvar,
    next_id: AtomicU64,
}

impl Link {
    /// Takes over a greeted connection.
    pub(super) fn start(stream: UnixStream) -> io::Result<Arc<Self>> {
        let reader = stream.try_clone()?;
        let link = Arc::new(Self {
            stream,
            writing: Mutex::new(()),
            waiting: Mutex::new(Some(HashMap::new())),
            lost: Condvar::new(),
            next_id: AtomicU64::new(1),
        });
        let on_thread = Arc::clone(&link);
        thread::Builder::new()
            .name("agent-replies".into())
            .spawn(move || on_thread.read_replies(reader))?;
        Ok(link)
    }

    /// Sends a request; its replies come out of the receiver, which disconnects with the link.
    pub(super) fn send(&self, request: Request) -> Result<Receiver<Reply>, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::new();
        frame::encode(&ToAgent { id, request: Some(request) }, &mut bytes)
            .map_err(CallError::TooLong)?;
        let (sender, receiver) = sync_channel(REPLIES);
        self.waiting().as_mut().ok_or(CallError::Lost)?.insert(id, sender);
        let _guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.stream).write_all(&bytes).map_err(|_| CallError::Lost)?;
        Ok(receiver)
    }

    /// Sends a request and waits for its one reply.
    pub(super) fn call(&self, request: Request) -> Result<Reply, CallError> {
        receive(&self.send(request)?)
    }

    pub(super) fn close(&self) {
        // It fails only when the connection has ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    pub(super) fn wait_lost(&self) {
        let mut waiting = self.waiting();
        while waiting.is_some() {
            waiting = self.lost.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_replies(&self, mut stream: UnixStream) {
        let mut decoder = Decoder::default();
        while let Ok(Next::Message(message)) = decoder.read::<FromAgent>(&mut stream) {
            self.deliver(message);
        }
        // Also when the agent is what broke the rules: nothing it says after that counts.
        let _ = stream.shutdown(Shutdown::Both);
        *self.waiting() = None;
        self.lost.notify_all();
    }

    fn deliver(&self, message: FromAgent) {
        let mut guard = self.waiting();
        let (Some(waiting), Some(reply)) = (guard.as_mut(), message.reply) else { return };
        let more_follow = matches!(reply, Reply::Started(_));
        let Some(sender) = waiting.get(&message.id) else { return };
        // A full channel is an agent that repeats itself; nobody listening is no fault.
        let sent = sender.try_send(reply).is_ok();
        if !(sent && more_follow) {
            waiting.remove(&message.id);
        }
    }
}

/// The next reply, a failure being an error.
pub(super) fn receive(replies: &Receiver<Reply>) -> Result<Reply, CallError> {
    match replies.recv() {
        Ok(Reply::Failure(failure)) => Err(CallError::Failed(failure)),
        Ok(reply) => Ok(reply),
        Err(_) => Err(CallError::Lost),
    }
}

/// A reply that must be [`Reply::Done`].
pub(super) fn expect_done(reply: Reply) -> Result<(), CallError> {
    match reply {
        Reply::Done(_) => Ok(()),
        _ => Err(CallError::Unexpected),
    }
}
