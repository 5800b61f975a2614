//! The engine's client of the agent in a machine: asynchronous, for many requests at once.
//!
//! An [`Agent`] is one control connection. When that is lost, every request on it fails with
//! [`AgentError::Lost`], and whoever looks after the machine decides whether to
//! [connect](Agent::connect) anew.
//!
//! The guest is not trusted. Frames have a limit, a request gets as many replies as it may have,
//! replies that nobody asked for are dropped, and an agent that does not read makes requests wait,
//! not grow.

mod command;
mod link;
mod output;
mod socket;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::AGENT_PORT;
use agent_protocol::client::{ConnectError, ExitStatus, GreetError};
use agent_protocol::frame::{self, FrameTooLong};
use agent_protocol::message::{
    Attach, ContainerEnd, ContainerRef, Exec, Failure, FailureKind, Hello, Open, PowerMode,
    PowerOff, Reply, Request, Started, Stream, ToAgent, WaitContainer,
};
use agent_protocol::version;
use tokio::net::UnixStream;
use tokio::time::timeout;

pub use command::{Command, Streams};
use link::{Link, Replies};
pub use output::Output;
pub use socket::VsockSocket;

/// Bytes of each output of a command that come in frames, before it gets a connection.
const INLINE: u32 = 4096;
/// The protocol's version that brought that.
const INLINE_SINCE: u32 = 2;
/// What an agent does at once may take it so long. A guest that hangs is not waited for: it may
/// be hostile, out of memory, or a machine that somebody paused.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A request to the agent failed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The agent could not do it.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The connection to the agent ended.
    #[error("Lost the connection to the agent")]
    Lost,
    /// The agent did not answer in time. It may still do what it was asked for.
    #[error("The agent did not answer within {0:?}")]
    Late(Duration),
    /// The agent's reply does not fit the request.
    #[error("The agent answered with the wrong kind of message")]
    Unexpected,
    /// The request is too long to send.
    #[error("Failed to send the request to the agent")]
    TooLong(#[source] FrameTooLong),
    /// More requests are waiting than the engine keeps.
    #[error("The agent leaves too many requests unanswered")]
    Busy,
    /// A stream could not be connected.
    #[error("Failed to connect a stream in the guest")]
    Stream(#[source] ConnectError),
}

impl AgentError {
    /// The agent's kind of failure, if it was the agent that failed.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Failed(failure) => Some(failure.kind()),
            _ => None,
        }
    }
}

/// A control connection to the agent in a machine. Cheap to clone; the connection ends with the
/// last clone.
#[derive(Clone, Debug)]
pub struct Agent {
    link: Arc<Link>,
    socket: VsockSocket,
    hello: Arc<Hello>,
}

impl Agent {
    /// Connects to an agent that already serves, in at most `limit`.
    pub async fn connect(socket: &Path, limit: Duration) -> Result<Self, GreetError> {
        let socket = VsockSocket::new(socket);
        let connecting = async {
            let stream = socket.connect(AGENT_PORT).await.map_err(GreetError::Connect)?;
            Self::greet(stream, socket.clone()).await
        };
        timeout(limit, connecting).await.unwrap_or(Err(GreetError::TimedOut(limit)))
    }

    /// Takes the call of an agent that has just begun to serve.
    pub async fn answer(
        call: UnixStream,
        socket: &Path,
        limit: Duration,
    ) -> Result<Self, GreetError> {
        let greeting = Self::greet(call, VsockSocket::new(socket));
        timeout(limit, greeting).await.unwrap_or(Err(GreetError::TimedOut(limit)))
    }

    async fn greet(mut stream: UnixStream, socket: VsockSocket) -> Result<Self, GreetError> {
        let open = Request::Open(Open { versions: Some(version::OURS) });
        socket::send(&mut stream, open).await.map_err(GreetError::Io)?;
        let mut decoder = frame::Decoder::default();
        let reply = socket::read(&stream, &mut decoder).await.map_err(GreetError::Read)?;
        let hello = match reply.and_then(|message| message.reply) {
            Some(Reply::Hello(hello)) => hello,
            Some(Reply::Failure(failure)) => return Err(GreetError::Refused(failure.message)),
            _ => return Err(GreetError::NoHello),
        };
        version::agree(hello.versions.unwrap_or_default()).map_err(GreetError::Version)?;
        Ok(Self { link: Link::start(stream), socket, hello: Arc::new(hello) })
    }

    /// What the agent said of itself.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Sends a request and waits for its one reply. A future that is dropped does not take the
    /// request back.
    pub async fn request(&self, request: Request) -> Result<Reply, AgentError> {
        self.link.send(request).await?.next().await
    }

    /// Sends a request that is answered with nothing but that it was carried out.
    pub async fn act(&self, request: Request) -> Result<(), AgentError> {
        match self.request(request).await? {
            Reply::Done(_) => Ok(()),
            _ => Err(AgentError::Unexpected),
        }
    }

    /// As [`Self::act`], for what an agent does at once.
    pub async fn act_at_once(&self, request: Request) -> Result<(), AgentError> {
        at_once(self.act(request)).await
    }

    /// Runs a command, with its streams.
    pub async fn exec(&self, mut exec: Exec) -> Result<Command, AgentError> {
        let streams = command::streams_of(&exec);
        // A machine may be older than this engine.
        let newest = self.hello.versions.unwrap_or_default().newest;
        let inline = newest >= INLINE_SINCE;
        exec.inline_output = if inline { INLINE } else { 0 };
        command::start(self, Request::Exec(exec), &streams, inline).await
    }

    /// Sends a request that is answered with a start and an exit (an archive to read, changes to
    /// list), and attaches these streams of it.
    pub async fn start(&self, request: Request, streams: &[Stream]) -> Result<Command, AgentError> {
        command::start(self, request, streams, false).await
    }

    /// Starts a container's first process. Its streams are [attached](Self::attach) separately, as
    /// they outlive connections, and its end is told by [`Self::wait_container`].
    pub async fn start_container(&self, id: &str) -> Result<Started, AgentError> {
        let request = Request::StartContainer(ContainerRef { id: id.to_owned() });
        match self.request(request).await? {
            Reply::Started(started) => Ok(started),
            _ => Err(AgentError::Unexpected),
        }
    }

    /// Waits until a container has ended.
    pub async fn wait_container(&self, id: &str) -> Result<ContainerEnd, AgentError> {
        let request = Request::WaitContainer(WaitContainer { id: id.to_owned() });
        match self.request(request).await? {
            Reply::ContainerEnd(end) => Ok(end),
            _ => Err(AgentError::Unexpected),
        }
    }

    /// Connects to a stream of a session: from then on the socket carries its bytes.
    pub async fn attach(&self, session: u64, stream: Stream) -> Result<UnixStream, AgentError> {
        let socket = self.socket.connect(AGENT_PORT).await.map_err(AgentError::Stream)?;
        self.attach_to(session, stream, socket).await
    }

    async fn attach_to(
        &self,
        session: u64,
        stream: Stream,
        mut socket: UnixStream,
    ) -> Result<UnixStream, AgentError> {
        let attach = Request::Attach(Attach { session, stream: stream.into() });
        let sent = socket::send(&mut socket, attach).await;
        sent.map_err(|error| AgentError::Stream(self.socket.failed(error)))?;
        Ok(socket)
    }

    /// Asks the guest to write out its file systems and power off. Done when it has begun.
    pub async fn power_off(&self) -> Result<(), AgentError> {
        let mode = PowerMode::PowerOff.into();
        match self.act(Request::PowerOff(PowerOff { mode })).await {
            // The machine went before the reply came through.
            Err(AgentError::Lost) => Ok(()),
            result => result,
        }
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) {
        self.link.lost().await;
    }
}

/// What comes of something that an agent does at once.
pub async fn at_once<T>(
    work: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    within(AT_ONCE, work).await
}

/// What comes of something that an agent does, in at most `limit`.
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    timeout(limit, work).await.unwrap_or(Err(AgentError::Late(limit)))
}

/// The frame of a message, which has no limit that a greeting could exceed.
fn frame_of(id: u64, request: Request) -> Result<Vec<u8>, FrameTooLong> {
    let mut bytes = Vec::new();
    frame::encode(&ToAgent { id, request: Some(request) }, &mut bytes)?;
    Ok(bytes)
}

/// The exit that follows a start.
async fn exited(mut replies: Replies) -> Result<ExitStatus, AgentError> {
    match replies.next().await? {
        Reply::Exited(exited) => Ok(exited.into()),
        _ => Err(AgentError::Unexpected),
    }
}

#[cfg(test)]
pub(crate) mod tests;
