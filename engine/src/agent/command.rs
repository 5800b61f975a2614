//! A command in the guest, with its streams.

use agent_protocol::AGENT_PORT;
use agent_protocol::client::ExitStatus;
use agent_protocol::message::{
    Exec, Reply, Request, Resize, Signal, Started, Stdio, Stream, Terminal,
};
use tokio::net::UnixStream;

use super::link::Replies;
use super::output::Output;
use super::{Agent, AgentError, exited};

/// `SIGKILL`.
const KILL: u32 = 9;

/// A running command.
#[derive(Debug)]
pub struct Command {
    /// Those that it was given.
    pub streams: Streams,
    started: Started,
    agent: Agent,
    replies: Replies,
}

/// The streams of a command. Shutting down `stdin` for writing is the end of input.
#[derive(Debug, Default)]
pub struct Streams {
    /// The command's input.
    pub stdin: Option<UnixStream>,
    /// The command's output.
    pub stdout: Option<Output>,
    /// The command's errors.
    pub stderr: Option<Output>,
    /// The command's terminal, in place of the other three.
    pub terminal: Option<UnixStream>,
}

impl Command {
    /// What names it in requests.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.started.session
    }

    /// Its process id in the guest.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.started.pid
    }

    /// Waits for its end. Its output may still be on the way then.
    pub async fn wait(self) -> Result<ExitStatus, AgentError> {
        exited(self.replies).await
    }

    /// Sends a signal to it, or to its whole process group.
    pub async fn signal(&self, signal: u32, group: bool) -> Result<(), AgentError> {
        let session = self.session();
        self.agent.act(Request::Signal(Signal { session, signal, group })).await
    }

    /// Changes the size of its terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), AgentError> {
        let size = Some(Terminal { rows: rows.into(), columns: columns.into() });
        self.agent.act(Request::Resize(Resize { session: self.session(), size })).await
    }
}

impl Streams {
    fn put(&mut self, stream: Stream, socket: UnixStream) {
        match stream {
            Stream::Stdin => self.stdin = Some(socket),
            Stream::Stdout => self.stdout = Some(Output::connected(socket)),
            Stream::Stderr => self.stderr = Some(Output::connected(socket)),
            Stream::Terminal => self.terminal = Some(socket),
        }
    }

    fn put_output(&mut self, stream: Stream, output: Output) {
        match stream {
            Stream::Stderr => self.stderr = Some(output),
            _ => self.stdout = Some(output),
        }
    }
}

/// The connections are made while the agent starts the command, so all of it takes one round trip.
/// Outputs begin in frames where they are `inline`, and take no connection for what is short.
pub(super) async fn start(
    agent: &Agent,
    request: Request,
    streams: &[Stream],
    inline: bool,
) -> Result<Command, AgentError> {
    let is_output = |stream: &Stream| matches!(stream, Stream::Stdout | Stream::Stderr);
    let (outputs, streams): (Vec<Stream>, Vec<Stream>) =
        streams.iter().partition(|stream| inline && is_output(stream));
    let mut begun = Vec::with_capacity(streams.len());
    for stream in streams {
        let connecting = agent.socket.begin(AGENT_PORT).await.map_err(AgentError::Stream)?;
        begun.push((stream, connecting));
    }
    let (mut replies, frames) = agent.link.send_for(request, &outputs).await?;
    let Reply::Started(started) = replies.next().await? else {
        return Err(AgentError::Unexpected);
    };
    let agent = agent.clone();
    let mut command = Command { streams: Streams::default(), started, agent, replies };
    for frames in frames {
        let (stream, agent) = (frames.stream, command.agent.clone());
        command.streams.put_output(stream, Output::framed(frames, agent, started.session));
    }
    for (stream, connecting) in begun {
        if let Err(error) = command.attach(stream, connecting).await {
            // A command nobody can talk to is of no use. That it ended already is no fault.
            let _ = command.signal(KILL, true).await;
            return Err(error);
        }
    }
    Ok(command)
}

impl Command {
    async fn attach(&mut self, stream: Stream, connecting: UnixStream) -> Result<(), AgentError> {
        let connected = self.agent.socket.finish(connecting, AGENT_PORT).await;
        let socket = connected.map_err(AgentError::Stream)?;
        let socket = self.agent.attach_to(self.session(), stream, socket).await?;
        self.streams.put(stream, socket);
        Ok(())
    }
}

/// The streams that a command has, as its message asks for them.
pub(super) fn streams_of(exec: &Exec) -> Vec<Stream> {
    if exec.terminal.is_some() {
        return vec![Stream::Terminal];
    }
    let all = [
        (exec.stdin(), Stream::Stdin),
        (exec.stdout(), Stream::Stdout),
        (exec.stderr(), Stream::Stderr),
    ];
    let wanted = all.into_iter().filter(|(stdio, _)| *stdio == Stdio::Stream);
    wanted.map(|(_, stream)| stream).collect()
}
