//! Commands that run for the host.

pub(crate) mod file_limit;
pub(crate) mod pump;
mod signal;
pub(crate) mod spawn;
mod terminal;
mod user;

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
};

use agent_protocol::message::{self, Stream};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::reactor::Token;
use pump::Pump;
use spawn::Spawned;
use terminal::Terminal;

/// The most commands at once. Each takes a handful of descriptors.
pub(crate) const MAX_SESSIONS: usize = 1024;

/// A command: running, or ended with output that nobody has fetched yet.
pub(crate) struct Session {
    /// `None` once reaped: the number may belong to another process then.
    pid: Option<Pid>,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    terminal: Option<Terminal>,
    /// Whether the terminal's streams were taken.
    terminal_attached: bool,
    /// Who started it, and which request is to be told of its end.
    owner: Option<(Token, u64)>,
    detached: bool,
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
        let unattached = self.stdin.is_some()
            || self.stdout.is_some()
            || self.stderr.is_some()
            || (self.terminal.is_some() && !self.terminal_attached);
        self.pid.is_none() && !unattached
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

/// All commands.
#[derive(Default)]
pub(crate) struct Sessions {
    sessions: HashMap<u64, Session>,
    by_pid: HashMap<Pid, u64>,
    last: u64,
}

impl Sessions {
    pub(crate) fn is_full(&self) -> bool {
        self.sessions.len() >= MAX_SESSIONS
    }

    /// Takes in a started command and names it.
    pub(crate) fn add(&mut self, spawned: Spawned, owner: (Token, u64), detached: bool) -> u64 {
        self.last += 1;
        let Spawned { pid, stdin, stdout, stderr, terminal } = spawned;
        let session = Session {
            pid: Some(pid),
            stdin,
            stdout,
            stderr,
            terminal,
            terminal_attached: false,
            owner: Some(owner),
            detached,
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
        let pumps = match stream {
            Stream::Stdin => {
                vec![Pump::splicing(connection, session.stdin.take().ok_or_else(missing)?)]
            }
            Stream::Stdout => {
                vec![Pump::splicing(session.stdout.take().ok_or_else(missing)?, connection)]
            }
            Stream::Stderr => {
                vec![Pump::splicing(session.stderr.take().ok_or_else(missing)?, connection)]
            }
            Stream::Terminal => {
                let terminal = session.terminal.as_ref().filter(|_| !session.terminal_attached);
                let terminal = terminal.ok_or_else(missing)?;
                let (output, input) = (terminal.duplicate()?, terminal.duplicate()?);
                let duplicate = connection.as_fd().try_clone_to_owned()?;
                session.terminal_attached = true;
                let mut output = Pump::copying(output, connection);
                output.hangs_up = Some(name);
                vec![output, Pump::copying(duplicate, input)]
            }
        };
        self.forget_if_over(name);
        Ok(pumps)
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
        let terminal = session.terminal.as_ref().ok_or(SessionError::NoTerminal(name))?;
        terminal.resize(size).map_err(|source| SessionError::Resize { session: name, source })
    }

    /// Nobody is at a command's terminal any more: the kernel tells it with `SIGHUP`.
    pub(crate) fn hang_up(&mut self, name: u64) {
        if let Some(session) = self.sessions.get_mut(&name) {
            session.terminal = None;
        }
        self.forget_if_over(name);
    }

    /// A control connection has ended: its commands are killed or left to run on, and nobody will
    /// ask for their streams any more.
    pub(crate) fn abandon(&mut self, connection: Token) {
        for session in self.sessions.values_mut() {
            if session.owner.is_some_and(|(owner, _)| owner == connection) {
                session.owner = None;
                if !session.detached {
                    session.kill();
                    session.stdin = None;
                    session.stdout = None;
                    session.stderr = None;
                    session.terminal = None;
                }
            }
        }
        // A detached command that has ended is kept for nobody.
        self.sessions.retain(|_, session| session.pid.is_some() || session.owner.is_some());
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
        self.sessions.values().filter(|session| !session.detached).for_each(Session::kill);
    }
}
