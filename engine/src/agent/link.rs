//! One control connection: requests out, replies back to whoever asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use agent_protocol::frame::Decoder;
use agent_protocol::message::{FromAgent, Reply, Request};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use super::{AgentError, frame_of, socket};

/// The most replies that one request has: started and exited.
const REPLIES: usize = 2;

/// Requests that may be without their last reply. Those that wait for a container's or a command's
/// end stay for long.
const PENDING: usize = 4096;

/// Requests on their way to an agent that does not read.
const OUTGOING: usize = 16;

/// The connection and who waits on it.
#[derive(Debug)]
pub(super) struct Link {
    outgoing: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<Waiting>,
    lost: watch::Receiver<bool>,
    /// Ends the connection's tasks when it goes.
    _alive: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    last_id: u64,
    /// `None` once the connection has ended.
    replies: Option<HashMap<u64, mpsc::Sender<Reply>>>,
}

/// The replies to one request.
#[derive(Debug)]
pub(super) struct Replies {
    receiver: mpsc::Receiver<Reply>,
    link: Weak<Link>,
    id: u64,
}

impl Link {
    /// Takes over a greeted connection.
    pub(super) fn start(stream: UnixStream) -> Arc<Self> {
        let (outgoing, requests) = mpsc::channel(OUTGOING);
        let (alive, dropped) = watch::channel(());
        let (lost_sender, lost) = watch::channel(false);
        let link = Arc::new(Self {
            outgoing,
            waiting: Mutex::new(Waiting { last_id: 0, replies: Some(HashMap::new()) }),
            lost,
            _alive: alive,
        });
        let weak = Arc::downgrade(&link);
        tokio::spawn(async move {
            run(stream, requests, dropped, &weak).await;
            if let Some(link) = weak.upgrade() {
                link.waiting().replies = None;
            }
            // Nobody may want to know.
            let _ = lost_sender.send(true);
        });
        link
    }

    /// Sends a request; its replies come out of what is given back.
    pub(super) async fn send(self: &Arc<Self>, request: Request) -> Result<Replies, AgentError> {
        let (sender, receiver) = mpsc::channel(REPLIES);
        let id = self.waiting().expect(sender)?;
        // From here on dropping it takes it off the list.
        let replies = Replies { receiver, link: Arc::downgrade(self), id };
        let frame = frame_of(id, request).map_err(AgentError::TooLong)?;
        // Whole frames are queued: a future that is dropped never leaves half of one.
        self.outgoing.send(frame).await.map_err(|_| AgentError::Lost)?;
        Ok(replies)
    }

    pub(super) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // It fails where the sender is gone, which means the same.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, message: FromAgent) {
        let mut waiting = self.waiting();
        let (Some(replies), Some(reply)) = (waiting.replies.as_mut(), message.reply) else {
            return;
        };
        let more_follow = matches!(reply, Reply::Started(_));
        let Some(sender) = replies.get(&message.id) else { return };
        // A full channel is an agent that repeats itself; nobody listening is no fault.
        let sent = sender.try_send(reply).is_ok();
        if !(sent && more_follow) {
            replies.remove(&message.id);
        }
    }
}

impl Waiting {
    /// Makes room for the replies to one more request; gives its id.
    fn expect(&mut self, sender: mpsc::Sender<Reply>) -> Result<u64, AgentError> {
        let replies = self.replies.as_mut().ok_or(AgentError::Lost)?;
        if replies.len() >= PENDING {
            return Err(AgentError::Busy);
        }
        self.last_id += 1;
        replies.insert(self.last_id, sender);
        Ok(self.last_id)
    }
}

impl Replies {
    /// The next reply, a failure being an error.
    pub(super) async fn next(&mut self) -> Result<Reply, AgentError> {
        match self.receiver.recv().await {
            Some(Reply::Failure(failure)) => Err(AgentError::Failed(failure)),
            Some(reply) => Ok(reply),
            None => Err(AgentError::Lost),
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade()
            && let Some(replies) = link.waiting().replies.as_mut()
        {
            replies.remove(&self.id);
        }
    }
}

/// Carries frames in both directions until the connection ends, either side breaks the rules, or
/// nobody holds the link any more.
async fn run(
    stream: UnixStream,
    mut requests: mpsc::Receiver<Vec<u8>>,
    mut dropped: watch::Receiver<()>,
    link: &Weak<Link>,
) {
    let (reading, mut writing) = stream.into_split();
    let write = async {
        while let Some(frame) = requests.recv().await {
            if writing.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut decoder = Decoder::default();
        while let Ok(Some(message)) = socket::read(reading.as_ref(), &mut decoder).await {
            let Some(link) = link.upgrade() else { return };
            link.deliver(message);
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
        _ = dropped.changed() => {}
    }
}
