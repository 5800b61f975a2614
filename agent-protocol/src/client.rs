//! The host's client. It blocks; each client has one thread that reads the replies.
//!
//! ```no_run
//! use std::time::Duration;
//! use agent_protocol::client::{Connector, ExecSpec, ReadyListener};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = Connector::new("/run/vm/v.sock");
//! let listener = ReadyListener::bind(&connector)?;
//! // … boot the machine …
//! let client = listener.accept(Duration::from_secs(10))?;
//! let output = client.run(&ExecSpec::new("uname").arg("-r"), b"")?;
//! assert_eq!(output.status.shell_code(), 0);
//! # Ok(())
//! # }
//! ```

mod connector;
mod exec;
mod link;
mod ready;
mod spec;
mod status;

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

pub use connector::{ConnectError, Connecting, Connector};
pub use exec::{ExecHandle, ExecSession, Output};
pub use link::CallError;
use link::{Link, expect_done};
pub use ready::{BindError, ReadyListener};
pub use spec::ExecSpec;
pub use status::ExitStatus;

use crate::{
    AGENT_PORT,
    frame::{self, Decoder, Next, ReadFrameError},
    message::{
        FromAgent, GetMetrics, Hello, Metrics, Mount, Open, PowerMode, PowerOff, Reply, Request,
        Stream, ToAgent, Unmount,
    },
    version::{self, NoCommonVersion},
};

/// The agent could not be greeted.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// No connection to the agent.
    #[error("Failed to connect to the agent")]
    Connect(#[source] ConnectError),
    /// The connection broke or carried something else.
    #[error("Failed to read the agent's greeting")]
    Read(#[source] ReadFrameError),
    /// Setting up or writing to the connection failed.
    #[error("Failed to greet the agent")]
    Io(#[source] std::io::Error),
    /// The time limit passed.
    #[error("The agent did not greet within {0:?}")]
    TimedOut(Duration),
    /// The agent closed the connection or began with something else.
    #[error("The agent did not begin with a greeting")]
    NoHello,
    /// The agent refused.
    #[error("The agent refused the connection: {0}")]
    Refused(String),
    /// The agent speaks none of our versions.
    #[error("Failed to agree with the agent")]
    Version(#[source] NoCommonVersion),
}

/// A control connection to one agent. May be shared between threads.
#[derive(Debug)]
pub struct Client {
    link: Arc<Link>,
    connector: Connector,
    hello: Hello,
}

impl Client {
    /// Connects to an agent that already serves.
    pub fn connect(connector: &Connector) -> Result<Self, GreetError> {
        let stream = connector.connect(AGENT_PORT).map_err(GreetError::Connect)?;
        Self::greet(stream, connector.clone(), connector.timeout())
    }

    /// Exchanges greetings on `stream`, in at most `timeout` for each of its steps.
    fn greet(
        mut stream: UnixStream,
        connector: Connector,
        timeout: Duration,
    ) -> Result<Self, GreetError> {
        stream.set_read_timeout(Some(timeout)).map_err(GreetError::Io)?;
        let open = Request::Open(Open { versions: Some(version::OURS) });
        let mut bytes = Vec::new();
        // A greeting is a few bytes; it cannot exceed the limit.
        let _ = frame::encode(&ToAgent { id: 0, request: Some(open) }, &mut bytes);
        std::io::Write::write_all(&mut stream, &bytes).map_err(GreetError::Io)?;
        let hello = read_hello(&mut stream, timeout)?;
        version::agree(hello.versions.unwrap_or_default()).map_err(GreetError::Version)?;
        stream.set_read_timeout(None).map_err(GreetError::Io)?;
        let link = Link::start(stream).map_err(GreetError::Io)?;
        Ok(Self { link, connector, hello })
    }

    /// What the agent said of itself.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Starts a command and connects its streams.
    pub fn exec(&self, spec: &ExecSpec) -> Result<ExecSession, CallError> {
        ExecSession::start(&self.link, &self.connector, spec)
    }

    /// Runs a command to its end with `input` as its standard input, collecting what it writes.
    ///
    /// Everything is held in memory: not for commands that write without end.
    pub fn run(&self, spec: &ExecSpec, input: &[u8]) -> Result<Output, CallError> {
        self.exec(&spec.collected(!input.is_empty()))?.finish(input)
    }

    /// Sends any request that has one reply and waits for it.
    pub fn request(&self, request: Request) -> Result<Reply, CallError> {
        self.link.call(request)
    }

    /// Sends a request that is answered with [`crate::message::Started`], and connects the given
    /// streams of what has started.
    pub fn session(&self, request: Request, streams: &[Stream]) -> Result<ExecSession, CallError> {
        ExecSession::begin(&self.link, &self.connector, request, streams)
    }

    /// Connects a stream of a command that has started, as that of a container after its last
    /// connection has ended.
    pub fn attach(&self, session: u64, stream: Stream) -> Result<UnixStream, CallError> {
        let mut socket = self.connector.connect(AGENT_PORT).map_err(CallError::Stream)?;
        exec::send_attach(&mut socket, session, stream)?;
        Ok(socket)
    }

    /// Reads the guest's metrics.
    pub fn metrics(&self) -> Result<Metrics, CallError> {
        match self.link.call(Request::Metrics(GetMetrics {}))? {
            Reply::Metrics(metrics) => Ok(metrics),
            _ => Err(CallError::Unexpected),
        }
    }

    /// Mounts a file system in the guest.
    pub fn mount(&self, mount: Mount) -> Result<(), CallError> {
        expect_done(self.link.call(Request::Mount(mount))?)
    }

    /// Unmounts a file system in the guest.
    pub fn unmount(&self, unmount: Unmount) -> Result<(), CallError> {
        expect_done(self.link.call(Request::Unmount(unmount))?)
    }

    /// Asks the guest to write out its file systems and power off or reboot. Returns when it has
    /// begun; the machine's end is seen at the monitor.
    pub fn power_off(&self, mode: PowerMode) -> Result<(), CallError> {
        let request = Request::PowerOff(PowerOff { mode: mode.into() });
        match self.link.call(request) {
            Ok(reply) => expect_done(reply),
            // The machine went before the reply came through.
            Err(CallError::Lost) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Blocks until the connection to the agent is lost.
    pub fn wait_lost(&self) {
        self.link.wait_lost();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.link.close();
    }
}

fn read_hello(stream: &mut UnixStream, timeout: Duration) -> Result<Hello, GreetError> {
    match Decoder::default().read::<FromAgent>(stream).map_err(GreetError::Read)? {
        Next::Message(FromAgent { reply: Some(Reply::Hello(hello)), .. }) => Ok(hello),
        Next::Message(FromAgent { reply: Some(Reply::Failure(failure)), .. }) => {
            Err(GreetError::Refused(failure.message))
        }
        Next::Message(_) | Next::End => Err(GreetError::NoHello),
        Next::Pending => Err(GreetError::TimedOut(timeout)),
    }
}
