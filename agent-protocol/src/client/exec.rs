//! A running command, seen from the host.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::{
    CallError, Connector, ExecSpec, ExitStatus,
    link::{Link, expect_done, receive},
};
use crate::{
    AGENT_PORT, frame,
    message::{Attach, Exec, Reply, Request, Resize, Signal, Stdio, Stream, Terminal, ToAgent},
};

/// `SIGKILL`.
const KILL: u32 = 9;

/// A running command. Its streams are plain sockets, present when the command was given them; take
/// them out to use them from several threads. Closing `stdin` is the end of the command's input.
#[derive(Debug)]
pub struct ExecSession {
    /// The command's input.
    pub stdin: Option<UnixStream>,
    /// The command's output.
    pub stdout: Option<UnixStream>,
    /// The command's errors.
    pub stderr: Option<UnixStream>,
    /// The command's terminal, in place of the other three.
    pub terminal: Option<UnixStream>,
    handle: ExecHandle,
    replies: Receiver<Reply>,
    status: Option<ExitStatus>,
}

/// Signals and resizes a command, from any thread.
#[derive(Debug, Clone)]
pub struct ExecHandle {
    link: Arc<Link>,
    session: u64,
    pid: u32,
}

/// What a finished command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl ExecSession {
    /// The stream connections are made while the agent starts the command, so all of it takes one
    /// round trip.
    pub(super) fn start(
        link: &Arc<Link>,
        connector: &Connector,
        spec: &ExecSpec,
    ) -> Result<Self, CallError> {
        let request = Request::Exec(spec.message().clone());
        Self::begin(link, connector, request, &streams_of(spec.message()))
    }

    /// As [`Self::start`], for any request that is answered with [`crate::message::Started`].
    pub(super) fn begin(
        link: &Arc<Link>,
        connector: &Connector,
        request: Request,
        wanted: &[Stream],
    ) -> Result<Self, CallError> {
        let mut connecting = Vec::with_capacity(wanted.len());
        for stream in wanted.iter().copied() {
            connecting.push((stream, connector.begin(AGENT_PORT).map_err(CallError::Stream)?));
        }
        let replies = link.send(request)?;
        let Reply::Started(started) = receive(&replies)? else {
            return Err(CallError::Unexpected);
        };
        let handle =
            ExecHandle { link: Arc::clone(link), session: started.session, pid: started.pid };
        let mut session = Self {
            stdin: None,
            stdout: None,
            stderr: None,
            terminal: None,
            handle,
            replies,
            status: None,
        };
        for (stream, connecting) in connecting {
            let connected = connecting.finish().map_err(CallError::Stream);
            let attached = connected.and_then(|socket| session.attach(stream, socket));
            if let Err(error) = attached {
                // A command nobody can talk to is of no use. That it ended already is no fault.
                let _ = session.handle.signal_group(KILL);
                return Err(error);
            }
        }
        Ok(session)
    }

    fn attach(&mut self, stream: Stream, mut socket: UnixStream) -> Result<(), CallError> {
        send_attach(&mut socket, self.handle.session, stream)?;
        let place = match stream {
            Stream::Stdin => &mut self.stdin,
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
            Stream::Terminal => &mut self.terminal,
        };
        *place = Some(socket);
        Ok(())
    }

    /// Waits for the command to end. Its output may still be on the way then.
    pub fn wait(&mut self) -> Result<ExitStatus, CallError> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let reply = receive(&self.replies)?;
        self.exited(reply)
    }

    /// Waits for the command to end, at most for `limit`; `None` if it still runs.
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Option<ExitStatus>, CallError> {
        if self.status.is_some() {
            return Ok(self.status);
        }
        match self.replies.recv_timeout(limit) {
            Ok(reply) => self.exited(reply).map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(CallError::Lost),
        }
    }

    fn exited(&mut self, reply: Reply) -> Result<ExitStatus, CallError> {
        match reply {
            Reply::Exited(exited) => Ok(*self.status.insert(exited.into())),
            Reply::Failure(failure) => Err(CallError::Failed(failure)),
            _ => Err(CallError::Unexpected),
        }
    }

    /// What signals and resizes the command.
    #[must_use]
    pub fn handle(&self) -> ExecHandle {
        self.handle.clone()
    }

    /// Writes `input`, closes it, reads both outputs to their ends and waits.
    pub fn finish(mut self, input: &[u8]) -> Result<Output, CallError> {
        let (stdin, stdout, stderr) = (self.stdin.take(), self.stdout.take(), self.stderr.take());
        let (stdout, stderr) = thread::scope(|scope| {
            scope.spawn(move || {
                // A command that does not read all of its input is not at fault.
                stdin.map(|mut stdin| stdin.write_all(input))
            });
            let stderr = scope.spawn(move || read_all(stderr));
            (read_all(stdout), stderr.join())
        });
        let stdout = stdout.map_err(CallError::Transfer)?;
        let stderr = stderr
            .unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
            .map_err(CallError::Transfer)?;
        Ok(Output { status: self.wait()?, stdout, stderr })
    }
}

impl ExecHandle {
    /// The command's number in requests about it.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.session
    }

    /// The command's process id in the guest.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends Linux signal `number` to the command's first process.
    pub fn signal(&self, number: u32) -> Result<(), CallError> {
        self.send_signal(number, false)
    }

    /// Sends Linux signal `number` to the command's process group.
    pub fn signal_group(&self, number: u32) -> Result<(), CallError> {
        self.send_signal(number, true)
    }

    fn send_signal(&self, signal: u32, group: bool) -> Result<(), CallError> {
        let request = Signal { session: self.session, signal, group };
        expect_done(self.link.call(Request::Signal(request))?)
    }

    /// Changes the size of the command's terminal.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), CallError> {
        let size = Some(Terminal { rows: rows.into(), columns: columns.into() });
        let request = Resize { session: self.session, size };
        expect_done(self.link.call(Request::Resize(request))?)
    }
}

/// Makes a fresh connection a stream.
pub(super) fn send_attach(
    socket: &mut UnixStream,
    session: u64,
    stream: Stream,
) -> Result<(), CallError> {
    let attach = Attach { session, stream: stream.into() };
    let message = ToAgent { id: 0, request: Some(Request::Attach(attach)) };
    let mut bytes = Vec::new();
    frame::encode(&message, &mut bytes).map_err(CallError::TooLong)?;
    socket.write_all(&bytes).map_err(CallError::Transfer)
}

/// The streams that a command has, as its message asks for them.
fn streams_of(exec: &Exec) -> Vec<Stream> {
    if exec.terminal.is_some() {
        return vec![Stream::Terminal];
    }
    [
        (exec.stdin(), Stream::Stdin),
        (exec.stdout(), Stream::Stdout),
        (exec.stderr(), Stream::Stderr),
    ]
    .into_iter()
    .filter(|(stdio, _)| *stdio == Stdio::Stream)
    .map(|(_, stream)| stream)
    .collect()
}

fn read_all(stream: Option<UnixStream>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
