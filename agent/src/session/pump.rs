//! Moving a stream's bytes between a command and a connection.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::OwnedFd,
};

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
    /// The command whose terminal ends with this pump.
    pub(crate) hangs_up: Option<u64>,
}

impl Pump {
    /// Between a pipe and a socket, in either direction.
    pub(crate) fn splicing(source: OwnedFd, sink: OwnedFd) -> Self {
        Self { source: source.into(), sink: sink.into(), engine: Engine::Splice, hangs_up: None }
    }

    /// Between any two descriptors.
    pub(crate) fn copying(source: OwnedFd, sink: OwnedFd) -> Self {
        let engine = Engine::Copy { buffer: Vec::new(), start: 0 };
        Self { source: source.into(), sink: sink.into(), engine, hangs_up: None }
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
            Ok(0) => Flow::Ended,
            Ok(_) | Err(Errno::INTR) => Flow::More,
            Err(Errno::AGAIN) => Flow::Blocked,
            // A kernel whose vsock cannot splice.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                self.engine = Engine::Copy { buffer: Vec::new(), start: 0 };
                Flow::More
            }
            Err(_) => Flow::Ended,
        }
    }

    fn copy(&mut self) -> Flow {
        let Engine::Copy { buffer, start } = &mut self.engine else { return Flow::Ended };
        let rest = buffer.get(*start..).unwrap_or_default();
        let result = if rest.is_empty() {
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
            Ok(0) => Flow::Ended,
            Ok(_) => Flow::More,
            Err(error) if error.kind() == ErrorKind::Interrupted => Flow::More,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Flow::Blocked,
            // A terminal whose last user has gone reads as EIO.
            Err(_) => Flow::Ended,
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
