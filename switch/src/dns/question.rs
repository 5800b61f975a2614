//! A question to one name server after the other.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send,
    socket_with,
};

use super::zone::is_answer;
use crate::core::poller::EventFlags;
use crate::core::port::PortId;
use crate::udp;

/// Times that the list of name servers is gone through.
const ROUNDS: usize = 2;
/// The longest message.
const LONGEST: usize = 65_535;

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A guest, by a datagram to the gateway.
    Datagram { guest: SocketAddr, gateway: SocketAddr },
    /// A stream.
    Stream(u64),
    /// Somebody at a socket of the host.
    Caller { counter: u64, caller: SocketAddr },
}

/// What came of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not enough.
    Wait,
    /// The answer, as the asker expects it.
    Answered(Vec<u8>),
    /// This name server does not answer.
    Failed,
}

/// The connection to a name server.
#[derive(Debug)]
enum Line {
    Datagram(OwnedFd),
    Stream {
        fd: OwnedFd,
        /// How much of the question, with its length, has been sent.
        sent: usize,
        /// The answer with its length, as far as it has come.
        got: Vec<u8>,
    },
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Question {
    pub(super) port: PortId,
    pub(super) asker: Asker,
    /// With an id of our own, so that nobody can guess it.
    message: Vec<u8>,
    asked_id: [u8; 2],
    servers: Vec<SocketAddr>,
    next: usize,
    line: Option<Line>,
    pub(super) timer: Option<Instant>,
}

impl Question {
    /// A question that has been asked of nobody. `message` has a header.
    pub(super) fn new(
        port: PortId,
        asker: Asker,
        message: &[u8],
        servers: Vec<SocketAddr>,
    ) -> Self {
        let mut message = message.to_vec();
        let mut asked_id = [0; 2];
        if let Some(id) = message.first_chunk_mut::<2>() {
            asked_id = *id;
            let mut own = *id;
            // Without random numbers, the asker's choice must do.
            let _ = rustix::rand::getrandom(&mut own, rustix::rand::GetRandomFlags::NONBLOCK);
            *id = own;
        }
        Self { port, asker, message, asked_id, servers, next: 0, line: None, timer: None }
    }

    /// The message as it was asked.
    pub(super) fn original(&self) -> Vec<u8> {
        self.as_asked(self.message.clone())
    }

    fn as_asked(&self, mut message: Vec<u8>) -> Vec<u8> {
        if let Some(id) = message.first_chunk_mut() {
            *id = self.asked_id;
        }
        message
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self.line.as_ref()? {
            Line::Datagram(fd) | Line::Stream { fd, .. } => Some(fd.as_fd()),
        }
    }

    pub(super) fn wanted(&self) -> EventFlags {
        match &self.line {
            Some(Line::Stream { sent, .. }) if *sent < self.message.len() + 2 => EventFlags::OUT,
            _ => EventFlags::IN,
        }
    }

    /// Turns to the next name server. False: there is no other.
    pub(super) fn ask_next(&mut self) -> bool {
        self.line = None;
        while self.next < self.servers.len() * ROUNDS {
            let Some(server) = self.servers.get(self.next % self.servers.len()).copied() else {
                break;
            };
            self.next += 1;
            let line = match self.asker {
                Asker::Datagram { .. } | Asker::Caller { .. } => {
                    udp::call(server).ok().and_then(|fd| {
                        let sent =
                            send(&fd, &self.message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
                        sent.is_ok().then_some(Line::Datagram(fd))
                    })
                }
                Asker::Stream(_) => {
                    call(server).ok().map(|fd| Line::Stream { fd, sent: 0, got: Vec::new() })
                }
            };
            if line.is_some() {
                self.line = line;
                return true;
            }
        }
        false
    }

    /// Something has happened at the name server's end.
    pub(super) fn advance(&mut self) -> Step {
        let result = match &mut self.line {
            Some(Line::Datagram(fd)) => take_datagram(fd.as_fd(), &self.message),
            Some(Line::Stream { fd, sent, got }) => converse(fd.as_fd(), &self.message, sent, got),
            None => return Step::Failed,
        };
        match result {
            Ok(Some(answer)) => Step::Answered(self.as_asked(answer)),
            Ok(None) | Err(Errno::AGAIN | Errno::INTR) => Step::Wait,
            Err(_) => Step::Failed,
        }
    }
}

fn take_datagram(fd: BorrowedFd<'_>, question: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let mut answer = vec![0; LONGEST];
    let (len, _) = recv(fd, &mut answer[..], RecvFlags::DONTWAIT)?;
    answer.truncate(len);
    // Another's answer is nothing: the right one may be on its way.
    Ok(is_answer(question, &answer).then_some(answer))
}

/// Goes on with sending the question, and then with taking the answer.
fn converse(
    fd: BorrowedFd<'_>,
    question: &[u8],
    sent: &mut usize,
    got: &mut Vec<u8>,
) -> Result<Option<Vec<u8>>, Errno> {
    if *sent < question.len() + 2 {
        let whole = framed(question);
        let rest = whole.get(*sent..).unwrap_or_default();
        *sent += send(fd, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        return Ok(None);
    }
    let mut part = [0; 4096];
    let (len, _) = recv(fd, &mut part, RecvFlags::DONTWAIT)?;
    if len == 0 {
        return Err(Errno::PIPE);
    }
    got.extend_from_slice(part.get(..len).unwrap_or_default());
    match split_message(got) {
        Some(answer) if is_answer(question, &answer) => Ok(Some(answer)),
        Some(_) => Err(Errno::PROTO),
        None => Ok(None),
    }
}

/// A message as it goes over streams (RFC 1035, 4.2.2).
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), message].concat()
}

/// Takes a whole message off the beginning of what came over a stream.
pub(super) fn split_message(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let len = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    let message = bytes.get(2..2 + len)?.to_vec();
    bytes.drain(..2 + len);
    Some(message)
}

fn call(server: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    match connect(&fd, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error),
    }
}
