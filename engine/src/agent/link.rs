//! One control connection: requests out, replies back to whoever asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use agent_protocol::INLINE_FRAMES;
use agent_protocol::frame::Decoder;
use agent_protocol::message::{Follows, FromAgent, Output, Reply, Request, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use super::{AgentError, frame_of, socket};

/// The most replies that one request has, but for output: started and exited.
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
    expected: Option<HashMap<u64, Expected>>,
}

/// What a request may still be answered with, and who wants that.
#[derive(Debug)]
struct Expected {
    replies: Option<mpsc::Sender<Reply>>,
    outputs: Vec<(Stream, mpsc::Sender<Output>)>,
}

/// The replies to one request.
#[derive(Debug)]
pub(super) struct Replies {
    receiver: mpsc::Receiver<Reply>,
    link: Weak<Link>,
    id: u64,
}

/// What comes in frames of an output of a command.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) receiver: mpsc::Receiver<Output>,
    pub(super) stream: Stream,
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
            waiting: Mutex::new(Waiting { last_id: 0, expected: Some(HashMap::new()) }),
            lost,
            _alive: alive,
        });
        let weak = Arc::downgrade(&link);
        tokio::spawn(async move {
            run(stream, requests, dropped, &weak).await;
            if let Some(link) = weak.upgrade() {
                link.waiting().expected = None;
            }
            // Nobody may want to know.
            let _ = lost_sender.send(true);
        });
        link
    }

    /// Sends a request; its replies come out of what is given back.
    pub(super) async fn send(self: &Arc<Self>, request: Request) -> Result<Replies, AgentError> {
        Ok(self.send_for(request, &[]).await?.0)
    }

    /// Sends a request of which these outputs come in frames.
    pub(super) async fn send_for(
        self: &Arc<Self>,
        request: Request,
        outputs: &[Stream],
    ) -> Result<(Replies, Vec<Frames>), AgentError> {
        let (sender, receiver) = mpsc::channel(REPLIES);
        let channels = outputs.iter().map(|stream| (*stream, mpsc::channel(INLINE_FRAMES)));
        let (senders, receivers): (Vec<_>, Vec<_>) = channels
            .map(|(stream, (sender, receiver))| ((stream, sender), (stream, receiver)))
            .unzip();
        let id = self.waiting().expect(Expected { replies: Some(sender), outputs: senders })?;
        // From here on dropping them takes it off the list.
        let link = Arc::downgrade(self);
        let frames = receivers.into_iter().map(|(stream, receiver)| Frames {
            receiver,
            stream,
            link: link.clone(),
            id,
        });
        let (frames, replies) = (frames.collect(), Replies { receiver, link: link.clone(), id });
        let frame = frame_of(id, request).map_err(AgentError::TooLong)?;
        // Whole frames are queued: a future that is dropped never leaves half of one.
        self.outgoing.send(frame).await.map_err(|_| AgentError::Lost)?;
        Ok((replies, frames))
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
        let Some(reply) = message.reply else { return };
        self.waiting().change(message.id, |expected| expected.take_in(reply));
    }
}

impl Waiting {
    /// Makes room for the replies to one more request; gives its id.
    fn expect(&mut self, expected: Expected) -> Result<u64, AgentError> {
        let requests = self.expected.as_mut().ok_or(AgentError::Lost)?;
        if requests.len() >= PENDING {
            return Err(AgentError::Busy);
        }
        self.last_id += 1;
        requests.insert(self.last_id, expected);
        Ok(self.last_id)
    }

    /// Changes what is expected for a request, which is forgotten when that is nothing.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Expected)) {
        let Some(requests) = self.expected.as_mut() else { return };
        let Some(expected) = requests.get_mut(&id) else { return };
        change(expected);
        if expected.replies.is_none() && expected.outputs.is_empty() {
            requests.remove(&id);
        }
    }
}

impl Expected {
    /// Hands a reply over. A full channel is an agent that repeats itself; nobody listening is no
    /// fault.
    fn take_in(&mut self, reply: Reply) {
        match reply {
            Reply::Output(output) => {
                let (stream, goes_on) = (output.stream(), output.follows() == Follows::Output);
                self.outputs.retain(|(of, sender)| {
                    *of != stream || (sender.try_send(output.clone()).is_ok() && goes_on)
                });
            }
            reply => {
                let more_follow = matches!(reply, Reply::Started(_));
                if matches!(reply, Reply::Failure(_)) {
                    self.outputs.clear();
                }
                let sent = self.replies.as_ref().is_some_and(|to| to.try_send(reply).is_ok());
                if !(sent && more_follow) {
                    self.replies = None;
                }
            }
        }
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
        if let Some(link) = self.link.upgrade() {
            link.waiting().change(self.id, |expected| expected.replies = None);
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade() {
            let others = |(of, _): &(Stream, _)| *of != self.stream;
            link.waiting().change(self.id, |expected| expected.outputs.retain(others));
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
