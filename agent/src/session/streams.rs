//! The agent's ends of a command's streams.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use agent_protocol::message::{Exec, FailureKind, Stdio, Stream};
use rustix::{
    fs::{self, OFlags},
    pipe::{PipeFlags, pipe_with},
};

use crate::{
    failure::ToFailure,
    program::{Standard, terminal::Terminal},
};

/// Streams could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamsError {
    #[error("Standard input and output cannot be the same as standard output")]
    BadStdio,
    #[error("Failed to make the command's pipes or terminal")]
    Make(#[source] io::Error),
}

impl ToFailure for StreamsError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::BadStdio => FailureKind::InvalidRequest,
            Self::Make(_) => FailureKind::System,
        }
    }
}

/// All non-blocking. The terminal comes from the child that is in its place.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) terminal: Option<Terminal>,
}

impl Streams {
    /// Makes pipes as `exec` asks; ours and the command's ends.
    pub(crate) fn open(exec: &Exec) -> Result<(Self, Standard), StreamsError> {
        let mut ours = Self::default();
        let mut theirs = Standard::default();
        if exec.terminal.is_some() {
            return Ok((ours, theirs));
        }
        if exec.stdin() == Stdio::SameAsStdout || exec.stdout() == Stdio::SameAsStdout {
            return Err(StreamsError::BadStdio);
        }
        if exec.stdin() == Stdio::Stream {
            let (read, write) = pipe().map_err(StreamsError::Make)?;
            set_nonblocking(&write).map_err(StreamsError::Make)?;
            (ours.stdin, theirs.stdin) = (Some(write), Some(read));
        }
        if exec.stdout() == Stdio::Stream {
            let (read, write) = output().map_err(StreamsError::Make)?;
            (ours.stdout, theirs.stdout) = (Some(read), Some(write));
        }
        match exec.stderr() {
            Stdio::Null => {}
            Stdio::Stream => {
                let (read, write) = output().map_err(StreamsError::Make)?;
                (ours.stderr, theirs.stderr) = (Some(read), Some(write));
            }
            Stdio::SameAsStdout => {
                let same = theirs.stdout.as_ref().map(OwnedFd::try_clone).transpose();
                theirs.stderr = same.map_err(StreamsError::Make)?;
            }
        }
        Ok((ours, theirs))
    }

    /// The place of an output.
    pub(crate) fn output(&mut self, stream: Stream) -> Option<&mut Option<OwnedFd>> {
        match stream {
            Stream::Stdout => Some(&mut self.stdout),
            Stream::Stderr => Some(&mut self.stderr),
            Stream::Stdin | Stream::Terminal => None,
        }
    }

    /// Takes in the terminal that the child has made.
    pub(crate) fn set_terminal(&mut self, main: OwnedFd) -> io::Result<()> {
        self.terminal = Some(Terminal::received(main)?);
        Ok(())
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

fn output() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe()?;
    set_nonblocking(&read)?;
    Ok((read, write))
}

/// Only our end: the command's must block as programs expect.
fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fs::fcntl_getfl(&fd)?;
    Ok(fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}
