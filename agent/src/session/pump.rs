//! Moving a stream's bytes between a command and a connection.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::OwnedFd,
};

use agent_protocol::message::Stream;
use rustix::{
    io::Errno,
    net::{Shutdown, shutdown},
    pipe::{SpliceFlags, splice},
};

/// The most that one splice moves; a pipe holds no more unless somebody enlarges it.
const SPLICE: usize = 1 << 20;

/// How much is copied at once where nothing can be spliced.
const COPY: usize = 16 << 10;

/// How many transfers one turn has before others get theirs.
const TURN: usize = 16;

/// Why a pump stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Either side would block; an edge will tell.
    Blocked,
    /// There is more to move at once.
    More,
    /// Nothing will ever move again.
    Ended,
}

/// How bytes get across.
enum Engine {
    /// One side is a pipe: the kernel moves pages, nothing is copied here.
    Splice,
    /// Neither is (a terminal): through a buffer, of which `start..` is still to be written.
    Copy { buffer: Vec<u8>, start: usize },
}

/// One direction of one stream. Both descriptors must be non-blocking.
pub(crate) struct Pump {
    source: File,
    sink: File,
    engine: Engine,
    /// Whose stream it is.
    pub(crate) owner: Option<Owner>,
    /// The source has come to its end.
    drained: bool,
    /// The sink takes nothing any more.
    refused: bool,
}

/// The command to which a pump's stream belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) session: u64,
    pub(crate) stream: Stream,
}

/// What is left of a stream when its pump has ended.
pub(crate) enum Rest {
    /// The command's end is as good as ever: another connection could carry it.
    Stream(OwnedFd),
    /// The command has closed it.
    Nothing,
}

impl Pump {
    /// Between a pipe and a socket, in either direction.
    pub(crate) fn splicing(source: OwnedFd, sink: OwnedFd) -> Self {
        Self::new(source, sink, Engine::Splice)
    }

    /// Between any two descriptors.
    pub(crate) fn copying(source: OwnedFd, sink: OwnedFd) -> Self {
        Self::new(source, sink, Engine::Copy { buffer: Vec::new(), start: 0 })
    }

    fn new(source: OwnedFd, sink: OwnedFd, engine: Engine) -> Self {
        let (source, sink) = (source.into(), sink.into());
        Self { source, sink, engine, owner: None, drained: false, refused: false }
    }

    /// The same pump for a command's stream.
    pub(crate) fn owned_by(mut self, session: u64, stream: Stream) -> Self {
        self.owner = Some(Owner { session, stream });
        self
    }

    /// Notes that the sink's other end is gone.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
    }

    /// What is left when it has ended. A terminal is its session's anyway.
    pub(crate) fn rest(&self) -> Rest {
        let kept = match self.owner.map(|owner| owner.stream) {
            Some(Stream::Stdin) if !self.refused => self.sink.try_clone(),
            Some(Stream::Stdout | Stream::Stderr) if !self.drained => self.source.try_clone(),
            _ => return Rest::Nothing,
        };
        kept.map_or(Rest::Nothing, |file| Rest::Stream(file.into()))
    }

    pub(crate) fn source(&self) -> &File {
        &self.source
    }

    pub(crate) fn sink(&self) -> &File {
        &self.sink
    }

    /// Moves what can be moved now.
    pub(crate) fn run(&mut self) -> Flow {
        for _ in 0..TURN {
            let flow = match self.engine {
                Engine::Splice => self.splice(),
                Engine::Copy { .. } => self.copy(),
            };
            if flow != Flow::More {
                return flow;
            }
        }
        Flow::More
    }

    fn splice(&mut self) -> Flow {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(&self.source, None, &self.sink, None, SPLICE, flags) {
            Ok(0) => {
                self.drained = true;
                Flow::Ended
            }
            Ok(_) | Err(Errno::INTR) => Flow::More,
            Err(Errno::AGAIN) => Flow::Blocked,
            // A kernel whose vsock cannot splice.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                self.engine = Engine::Copy { buffer: Vec::new(), start: 0 };
                Flow::More
            }
            Err(Errno::PIPE) => {
                self.refused = true;
                Flow::Ended
            }
            Err(_) => Flow::Ended,
        }
    }

    fn copy(&mut self) -> Flow {
        let Engine::Copy { buffer, start } = &mut self.engine else { return Flow::Ended };
        let rest = buffer.get(*start..).unwrap_or_default();
        let reading = rest.is_empty();
        let result = if reading {
            buffer.resize(COPY, 0);
            let result = self.source.read(buffer);
            buffer.truncate(result.as_ref().copied().unwrap_or(0));
            *start = 0;
            result
        } else {
            let result = self.sink.write(rest);
            *start += result.as_ref().copied().unwrap_or(0);
            result
        };
        match result {
            Ok(0) => {
                (self.drained, self.refused) = (reading, !reading);
                Flow::Ended
            }
            Ok(_) => Flow::More,
            Err(error) if error.kind() == ErrorKind::Interrupted => Flow::More,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Flow::Blocked,
            // A terminal whose last user has gone reads as EIO.
            Err(_) => {
                self.refused = !reading;
                Flow::Ended
            }
        }
    }
}

impl Drop for Pump {
    /// A terminal's two directions share one socket through two descriptors, so closing this one
    /// would not end the connection when the terminal does.
    fn drop(&mut self) {
        if matches!(self.engine, Engine::Copy { .. }) {
            // The sink may be no socket, and a socket may be gone already.
            let _ = shutdown(&self.sink, Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests;
