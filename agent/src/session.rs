//! Commands that run for the host.

pub(crate) mod inline;
pub(crate) mod pump;
pub(crate) mod signal;
pub(crate) mod spawn;
pub(crate) mod streams;

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
};

use agent_protocol::message::{self, FailureKind, Stream};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{failure::ToFailure, reactor::Token};
use pump::{Owner, Pump, Rest};
use streams::Streams;

/// The most commands at once. Each takes a handful of descriptors.
pub(crate) const MAX_SESSIONS: usize = 1024;

/// What a session is to the connection that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tie {
    /// It is killed when the connection ends.
    Attached,
    /// It runs on when the connection ends.
    Detached,
    /// It is a container's first process and has to do with no connection. Its streams come back
    /// to it and stay until the container is deleted.
    Container,
}

/// A command: running, or ended with output that nobody has fetched yet.
struct Session {
    /// `None` once reaped: the number may belong to another process then.
    pid: Option<Pid>,
    streams: Streams,
    /// Whether the terminal's streams were taken.
    terminal_attached: bool,
    /// How many of its outputs go into frames.
    lent: u8,
    /// Its input ends as soon as no connection carries it.
    input_closing: bool,
    /// Who started it, and which request is to be told of its end.
    owner: Option<(Token, u64)>,
    tie: Tie,
}

impl Session {
    /// Kills the process group. Used when nobody is left who could want the command.
    fn kill(&self) {
        if let Some(pid) = self.pid {
            // It may have ended in this very moment.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Whether anything can still be asked of it.
    fn is_over(&self) -> bool {
        // What the command left in the background may still read and write.
        let Streams { stdin, stdout, stderr, terminal } = &self.streams;
        let unattached = stdin.is_some()
            || stdout.is_some()
            || stderr.is_some()
            || (terminal.is_some() && !self.terminal_attached);
        self.pid.is_none() && !unattached && self.lent == 0 && self.tie != Tie::Container
    }
}

/// A request about a session failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("No such command, or it has ended: {0}")]
    None(u64),
    #[error("Command {0} has no terminal")]
    NoTerminal(u64),
    #[error("Invalid signal number: {0}")]
    BadSignal(u32),
    #[error("Failed to signal command {session}")]
    Signal { session: u64, source: io::Error },
    #[error("Failed to resize the terminal of command {session}")]
    Resize { session: u64, source: io::Error },
}

impl ToFailure for SessionError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::None(_) => FailureKind::NoSuchSession,
            Self::NoTerminal(_) | Self::BadSignal(_) => FailureKind::InvalidRequest,
            Self::Signal { .. } | Self::Resize { .. } => FailureKind::System,
        }
    }
}

/// All commands.
#[derive(Default)]
pub(crate) struct Sessions {
    sessions: HashMap<u64, Session>,
    by_pid: HashMap<Pid, u64>,
    last: u64,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Takes in a started command and names it.
    pub(crate) fn add(
        &mut self,
        pid: Pid,
        streams: Streams,
        owner: Option<(Token, u64)>,
        tie: Tie,
    ) -> u64 {
        self.last += 1;
        let session = Session {
            pid: Some(pid),
            streams,
            terminal_attached: false,
            lent: 0,
            input_closing: false,
            owner,
            tie,
        };
        self.sessions.insert(self.last, session);
        self.by_pid.insert(pid, self.last);
        self.last
    }

    /// Notes that the process `pid` has been reaped. If it was a command, says which, and whom to
    /// tell.
    pub(crate) fn reaped(&mut self, pid: Pid) -> Option<(u64, Option<(Token, u64)>)> {
        let name = self.by_pid.remove(&pid)?;
        let session = self.sessions.get_mut(&name)?;
        session.pid = None;
        let owner = session.owner;
        self.forget_if_over(name);
        Some((name, owner))
    }

    /// Takes a stream out of a command and joins it to `connection`. A terminal has a pump for
    /// each direction.
    pub(crate) fn attach(
        &mut self,
        name: u64,
        stream: Stream,
        connection: OwnedFd,
    ) -> io::Result<Vec<Pump>> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let session = self.sessions.get_mut(&name).ok_or_else(missing)?;
        let Streams { stdin, stdout, stderr, terminal } = &mut session.streams;
        let pumps = match stream {
            Stream::Stdin => {
                vec![Pump::splicing(connection, stdin.take().ok_or_else(missing)?)]
            }
            Stream::Stdout => {
                vec![Pump::splicing(stdout.take().ok_or_else(missing)?, connection)]
            }
            Stream::Stderr => {
                vec![Pump::splicing(stderr.take().ok_or_else(missing)?, connection)]
            }
            Stream::Terminal => {
                let terminal = terminal.as_ref().filter(|_| !session.terminal_attached);
                let terminal = terminal.ok_or_else(missing)?;
                let (output, input) = (terminal.duplicate()?, terminal.duplicate()?);
                let duplicate = connection.as_fd().try_clone_to_owned()?;
                session.terminal_attached = true;
                // The first is the one that says when the terminal's connection has ended.
                let output = Pump::copying(output, connection).owned_by(name, stream);
                return Ok(vec![output, Pump::copying(duplicate, input)]);
            }
        };
        self.forget_if_over(name);
        Ok(pumps.into_iter().map(|pump| pump.owned_by(name, stream)).collect())
    }

    /// A stream's connection has ended. A container gets its stream back; of another command the
    /// stream ends too, and its terminal hangs up (`SIGHUP`).
    pub(crate) fn detach(&mut self, owner: Owner, rest: Rest) {
        let Some(session) = self.sessions.get_mut(&owner.session) else { return };
        let kept = session.tie == Tie::Container;
        match (owner.stream, rest) {
            (Stream::Terminal, _) if kept => session.terminal_attached = false,
            (Stream::Terminal, _) => session.streams.terminal = None,
            (Stream::Stdin, Rest::Stream(sink)) if kept && !session.input_closing => {
                session.streams.stdin = Some(sink);
            }
            (Stream::Stdout, Rest::Stream(source)) if kept => {
                session.streams.stdout = Some(source);
            }
            (Stream::Stderr, Rest::Stream(source)) if kept => {
                session.streams.stderr = Some(source);
            }
            _ => {}
        }
        self.forget_if_over(owner.session);
    }

    /// Ends a command's input, once what a connection still carries of it has arrived.
    pub(crate) fn close_input(&mut self, name: u64) -> Result<(), SessionError> {
        let session = self.sessions.get_mut(&name).ok_or(SessionError::None(name))?;
        session.input_closing = true;
        session.streams.stdin = None;
        self.forget_if_over(name);
        Ok(())
    }

    /// Notes that an output of a command goes into frames for now.
    pub(crate) fn lend(&mut self, name: u64) {
        if let Some(session) = self.sessions.get_mut(&name) {
            session.lent += 1;
        }
    }

    /// Takes an output back, to be attached, or its end.
    pub(crate) fn give_back(&mut self, name: u64, stream: Stream, source: Option<OwnedFd>) {
        let Some(session) = self.sessions.get_mut(&name) else { return };
        session.lent = session.lent.saturating_sub(1);
        if let Some(output) = session.streams.output(stream) {
            *output = source;
        }
        self.forget_if_over(name);
    }

    /// Closes an output of a command that nobody has attached to.
    pub(crate) fn close_output(&mut self, name: u64, stream: Stream) {
        let Some(session) = self.sessions.get_mut(&name) else { return };
        if let Some(output) = session.streams.output(stream) {
            *output = None;
        }
        self.forget_if_over(name);
    }

    /// Sends a signal to a command.
    pub(crate) fn signal(&self, request: message::Signal) -> Result<(), SessionError> {
        let message::Signal { session: name, signal, group } = request;
        let pid = self.sessions.get(&name).and_then(|session| session.pid);
        let pid = pid.ok_or(SessionError::None(name))?;
        let signal = signal::from_number(signal).ok_or(SessionError::BadSignal(signal))?;
        let result =
            if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
        result.map_err(|errno| SessionError::Signal { session: name, source: errno.into() })
    }

    /// Resizes a command's terminal.
    pub(crate) fn resize(&self, name: u64, size: message::Terminal) -> Result<(), SessionError> {
        let session = self.sessions.get(&name).ok_or(SessionError::None(name))?;
        let terminal = session.streams.terminal.as_ref();
        let terminal = terminal.ok_or(SessionError::NoTerminal(name))?;
        terminal.resize(size).map_err(|source| SessionError::Resize { session: name, source })
    }

    /// A control connection has ended: its commands are killed or left to run on, and nobody will
    /// ask for their streams any more.
    pub(crate) fn abandon(&mut self, connection: Token) {
        for session in self.sessions.values_mut() {
            if session.owner.is_some_and(|(owner, _)| owner == connection) {
                session.owner = None;
                if session.tie == Tie::Attached {
                    session.kill();
                    session.streams = Streams::default();
                }
            }
        }
        // A detached command that has ended is kept for nobody.
        self.sessions.retain(|_, session| {
            session.pid.is_some() || session.owner.is_some() || session.tie == Tie::Container
        });
    }

    /// Forgets the first process of a container that is deleted.
    pub(crate) fn remove(&mut self, name: u64) {
        self.sessions.remove(&name);
    }

    fn forget_if_over(&mut self, name: u64) {
        if self.sessions.get(&name).is_some_and(Session::is_over) {
            self.sessions.remove(&name);
        }
    }
}

impl Drop for Sessions {
    /// An agent that ends outside of a machine leaves nothing behind that was not detached.
    fn drop(&mut self) {
        self.sessions.values().filter(|s| s.tie == Tie::Attached).for_each(Session::kill);
    }
}
