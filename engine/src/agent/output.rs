//! An output of a command: what comes in frames first, and a connection if there is more.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use agent_protocol::message::{CloseOutput, Follows, Request};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::runtime::Handle;

use super::link::Frames;
use super::{Agent, AgentError};

/// What a command writes, to be read. Dropped before its end, it is a broken pipe to the command.
pub struct Output {
    source: Source,
    /// Whom to tell that nobody reads, while that is not told by a closed connection.
    unread: Option<(Agent, CloseOutput)>,
}

type Connecting = Pin<Box<dyn Future<Output = Result<UnixStream, AgentError>> + Send + Sync>>;

enum Source {
    Frames { frames: Frames, data: Vec<u8>, taken: usize, follows: Follows },
    Connecting(Connecting),
    Socket(UnixStream),
    Ended,
}

impl Output {
    /// One that has a connection.
    pub(super) fn connected(socket: UnixStream) -> Self {
        Self { source: Source::Socket(socket), unread: None }
    }

    /// One that comes in frames.
    pub(super) fn framed(frames: Frames, agent: Agent, session: u64) -> Self {
        let stream = frames.stream.into();
        let source =
            Source::Frames { frames, data: Vec::new(), taken: 0, follows: Follows::Output };
        Self { source, unread: Some((agent, CloseOutput { session, stream })) }
    }

    /// What is read from after the bytes that have come.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let next = match &mut self.source {
            Source::Frames { follows: Follows::End, .. } => {
                self.unread = None;
                Source::Ended
            }
            Source::Frames { follows: Follows::Connection, .. } => match &self.unread {
                Some((agent, of)) => Source::Connecting(connecting(agent.clone(), *of)),
                None => Source::Ended,
            },
            Source::Frames { frames, data, taken, follows } => {
                let Some(output) = ready!(frames.receiver.poll_recv(cx)) else {
                    // Without a word: the machine has ended, or its agent breaks the rules.
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                };
                (*follows, *taken, *data) = (output.follows(), 0, output.data);
                return Poll::Ready(Ok(()));
            }
            Source::Connecting(connecting) => {
                let socket = ready!(connecting.as_mut().poll(cx)).map_err(io::Error::other)?;
                self.unread = None;
                Source::Socket(socket)
            }
            Source::Socket(_) | Source::Ended => return Poll::Ready(Ok(())),
        };
        self.source = next;
        Poll::Ready(Ok(()))
    }
}

fn connecting(agent: Agent, of: CloseOutput) -> Connecting {
    Box::pin(async move { agent.attach(of.session, of.stream()).await })
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.source {
                Source::Socket(socket) => return Pin::new(socket).poll_read(cx, buffer),
                Source::Ended => return Poll::Ready(Ok(())),
                Source::Frames { data, taken, .. } if *taken < data.len() => {
                    let rest = data.get(*taken..).unwrap_or_default();
                    let chunk = rest.get(..buffer.remaining()).unwrap_or(rest);
                    buffer.put_slice(chunk);
                    *taken += chunk.len();
                    return Poll::Ready(Ok(()));
                }
                Source::Frames { .. } | Source::Connecting(_) => ready!(self.next(cx))?,
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let Some((agent, close)) = self.unread.take() else { return };
        // Outside of a runtime the engine ends, and the connection to the agent with it.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            // A command that has ended needs no word.
            let _ = agent.act(Request::CloseOutput(close)).await;
        });
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.source {
            Source::Frames { .. } => "Frames",
            Source::Connecting(_) => "Connecting",
            Source::Socket(_) => "Socket",
            Source::Ended => "Ended",
        };
        formatter.debug_struct("Output").field("source", &name).finish_non_exhaustive()
    }
}
