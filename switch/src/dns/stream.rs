//! A guest's TCP connection to the name server: the other end of what TCP splices.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use super::question::{framed, split_message};
use crate::core::poller::EventFlags;
use crate::core::port::PortId;

/// A stream on which nothing happens for so long is closed.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// Questions of a stream that may wait for their answers; further ones wait to be read.
const MAX_WAITING: usize = 16;
/// Bytes that may be received and not yet answered: a whole message, and the beginning of another.
const MAX_RECEIVED: usize = 68 << 10;
/// Bytes of answers that may wait for the guest; meanwhile nothing is read.
const MAX_QUEUED: usize = 128 << 10;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Stream {
    fd: OwnedFd,
    port: PortId,
    received: Vec<u8>,
    queued: Vec<u8>,
    ended: bool,
    /// Questions that others are asked.
    pub(super) waiting: usize,
    pub(super) timer: Option<Instant>,
    /// Whether it is one of the port's flows; those that TCP splices are counted there.
    pub(super) counted: bool,
}

impl Stream {
    /// A stream for a port, and the guest's end of it.
    pub(super) fn pair(port: PortId) -> Result<(Self, OwnedFd), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (fd, guests_end) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok((Self::new(fd, port, false), guests_end))
    }

    /// A stream over a connection.
    pub(super) fn new(fd: OwnedFd, port: PortId, counted: bool) -> Self {
        let (received, queued) = Default::default();
        Self { fd, port, received, queued, ended: false, waiting: 0, timer: None, counted }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn port(&self) -> PortId {
        self.port
    }

    fn may_receive(&self) -> bool {
        !self.ended && self.waiting < MAX_WAITING && self.queued.len() < MAX_QUEUED
    }

    /// What to wait for.
    pub(super) fn wanted(&self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.may_receive());
        flags.set(EventFlags::OUT, !self.queued.is_empty());
        flags
    }

    /// Receives what there is. False: the stream is broken.
    pub(super) fn receive(&mut self) -> bool {
        let mut part = [0; 4096];
        while self.may_receive() && self.received.len() < MAX_RECEIVED {
            match recv(&self.fd, &mut part, RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.ended = true,
                Ok((len, _)) => {
                    self.received.extend_from_slice(part.get(..len).unwrap_or_default())
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return false,
            }
        }
        true
    }

    /// The next whole message, unless enough wait already.
    pub(super) fn next_message(&mut self) -> Option<Vec<u8>> {
        if self.waiting >= MAX_WAITING || self.queued.len() >= MAX_QUEUED {
            return None;
        }
        split_message(&mut self.received)
    }

    /// Adds an answer.
    pub(super) fn queue(&mut self, answer: &[u8]) {
        self.queued.extend(framed(answer));
    }

    /// Sends what there is room for. False: there is nothing more to do, or nobody.
    pub(super) fn flush(&mut self) -> bool {
        while !self.queued.is_empty() {
            match send(&self.fd, &self.queued, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.queued.drain(..sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        !self.ended || self.waiting > 0
    }
}
