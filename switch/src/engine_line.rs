//! A connection of the engine: lines in, lines out, neither without bound.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::control::{Fault, FaultKind, MAX_LINE, Request, Response};
use crate::core::poller::EventFlags;

/// Bytes of answers that may wait; meanwhile nothing is read.
const MAX_QUEUED: usize = 1 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct EngineLine {
    fd: OwnedFd,
    received: Vec<u8>,
    queued: Vec<u8>,
    /// Nothing more is read: it ended, or was of no use.
    ended: bool,
}

impl EngineLine {
    /// A new connection. The descriptor must not block.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, received: Vec::new(), queued: Vec::new(), ended: false }
    }

    /// What to wait for.
    pub(crate) fn wanted(&self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !self.ended && self.queued.len() < MAX_QUEUED);
        flags.set(EventFlags::OUT, !self.queued.is_empty());
        flags
    }

    /// Reads once. False: the connection is broken.
    pub(crate) fn receive(&mut self) -> bool {
        if self.ended || self.queued.len() >= MAX_QUEUED {
            return true;
        }
        let mut part = [0; 16 << 10];
        match recv(&self.fd, &mut part, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.ended = true,
            Ok((len, _)) => self.received.extend_from_slice(part.get(..len).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return false,
        }
        true
    }

    /// The next whole request.
    pub(crate) fn next(&mut self) -> Option<Result<Request, Fault>> {
        if self.queued.len() >= MAX_QUEUED {
            return None;
        }
        let Some(end) = self.received.iter().position(|byte| *byte == b'\n') else {
            if self.received.len() <= MAX_LINE {
                return None;
            }
            self.received = Vec::new();
            self.ended = true;
            return Some(Err(invalid(format!("a line is longer than {MAX_LINE} bytes"))));
        };
        let line: Vec<u8> = self.received.drain(..=end).collect();
        let request = serde_json::from_slice(&line);
        Some(request.map_err(|error| invalid(format!("not a request: {error}"))))
    }

    /// Adds an answer.
    pub(crate) fn answer(&mut self, response: &Response) {
        if serde_json::to_writer(&mut self.queued, response).is_ok() {
            self.queued.push(b'\n');
        }
    }

    /// Sends what there is room for. False: there is nothing more to do, or nobody.
    pub(crate) fn flush(&mut self) -> bool {
        while !self.queued.is_empty() {
            match send(&self.fd, &self.queued, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.queued.drain(..sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        !self.ended
    }
}

impl AsFd for EngineLine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn invalid(message: String) -> Fault {
    Fault { kind: FaultKind::Invalid, message }
}
