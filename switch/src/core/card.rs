//! A monitor's connection for one card: messages of a unix socket, each a frame behind its virtio
//! header, or a word shorter than one.
//!
//! ```text
//!  card                                switch
//!   │ hello: "BHSW", version, 0, name ──► │
//!   │ ◄── 1, link, version                │   welcome, or 2 and a text: refused, and closed
//!   │ ◄──────────── frames ─────────────► │
//!   │ 4, offloads ───────────────────►    │   what the driver takes over
//!   │ ◄── 3, link                         │   the cable is pulled or plugged in
//! ```

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::port::PortId;

/// How a hello begins: magic, version 1, nothing.
const HELLO: [u8; 8] = [b'B', b'H', b'S', b'W', 1, 0, 0, 0];
/// The length of its magic.
const MAGIC: usize = 4;
/// The protocol's version.
const VERSION: u8 = 1;
/// The longest name of a port, in bytes.
pub(crate) const MAX_NAME: usize = 200;

const WELCOME: u8 = 1;
const REFUSED: u8 = 2;
const LINK: u8 = 3;
const OFFLOADS: u8 = 4;

/// Bit of [`OFFLOADS`]: the driver completes checksums itself.
const TAKES_PARTIAL: u8 = 1;

/// Bytes that wait for a card which does not take them. What comes on top is dropped.
const MAX_WAITING: usize = 1 << 20;
/// What the kernel may hold of what a card has not taken; the kernel's own limit may be lower.
const SEND_BUFFER: usize = 1 << 20;

/// A message from a card.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromCard {
    /// So many bytes of a frame and its header are in the buffer.
    Frame(usize),
    /// A word that was dealt with, or makes no sense.
    Word,
    /// Nothing for now.
    Nothing,
    /// It has gone.
    Gone,
}

/// A connected card.
#[derive(Debug)]
pub(crate) struct Card {
    fd: OwnedFd,
    /// The port that it named, once it has.
    pub(crate) name: Option<String>,
    /// That port, while it exists.
    pub(crate) port: Option<PortId>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    takes_partial: bool,
    /// What it was told last.
    link_up: bool,
}

/// What a hello says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// The port's name.
    Port(String),
    /// Another version.
    Version,
    /// Nonsense.
    Wrong,
}

/// Reads a hello.
pub(crate) fn parse_hello(message: &[u8]) -> Hello {
    let Some((head, name)) = message.split_first_chunk::<8>() else { return Hello::Wrong };
    if head[..MAGIC] != HELLO[..MAGIC] {
        return Hello::Wrong;
    }
    if *head != HELLO {
        return Hello::Version;
    }
    match str::from_utf8(name) {
        Ok(name) if is_name(name) => Hello::Port(name.to_owned()),
        _ => Hello::Wrong,
    }
}

/// Whether a port may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Card {
    /// A card that has said nothing yet. The descriptor must not block.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        // It works with less.
        let _ = sockopt::set_socket_send_buffer_size(&fd, SEND_BUFFER);
        Self {
            fd,
            name: None,
            port: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            takes_partial: false,
            link_up: false,
        }
    }

    /// Takes a message into `buffer`, which is longer than any frame.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> FromCard {
        match recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            Ok((_, 0)) => FromCard::Gone,
            Ok((_, len)) if len < crate::frame::VIRTIO && self.name.is_some() => {
                if let Some([OFFLOADS, bits]) = buffer.get(..len) {
                    self.takes_partial = bits & TAKES_PARTIAL != 0;
                }
                FromCard::Word
            }
            Ok((_, len)) => FromCard::Frame(len),
            Err(Errno::AGAIN | Errno::INTR) => FromCard::Nothing,
            Err(_) => FromCard::Gone,
        }
    }

    /// Answers a hello.
    pub(crate) fn welcome(&mut self, name: String, link_up: bool) {
        self.name = Some(name);
        self.link_up = link_up;
        self.send(&[WELCOME, u8::from(link_up), VERSION]);
    }

    /// Answers a hello that is of no use. The caller closes.
    pub(crate) fn refuse(&mut self, reason: &str) {
        let message = [&[REFUSED], reason.as_bytes()].concat();
        self.send(&message);
    }

    /// Tells the card that its cable is plugged in or not, if that is news. What waits for a
    /// card without a cable is thrown away.
    pub(crate) fn set_link(&mut self, up: bool) {
        if up != self.link_up {
            self.link_up = up;
            if !up {
                self.waiting.clear();
                self.waiting_bytes = 0;
            }
            // A word is short: it waits even where frames would not.
            self.send(&[LINK, u8::from(up)]);
        }
    }

    pub(crate) fn is_link_up(&self) -> bool {
        self.link_up
    }

    /// Whether checksums may be left to it.
    pub(crate) fn takes_partial(&self) -> bool {
        self.takes_partial
    }

    /// Whether frames wait already, so that it is better not to make more.
    pub(crate) fn is_busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Sends a message, now or when there is room. False if it was dropped.
    pub(crate) fn send(&mut self, message: &[u8]) -> bool {
        if self.waiting.is_empty() {
            match self.try_send(message) {
                Ok(()) => return true,
                Err(Errno::AGAIN) => {}
                // Its end shows itself when reading.
                Err(_) => return false,
            }
        }
        if self.waiting_bytes + message.len() > MAX_WAITING && message.len() >= crate::frame::VIRTIO
        {
            return false;
        }
        self.waiting_bytes += message.len();
        self.waiting.push_back(message.to_vec());
        true
    }

    fn try_send(&self, message: &[u8]) -> Result<(), Errno> {
        loop {
            match send(&self.fd, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                // Where the kernel's memory is short, there is room at another time.
                Err(Errno::NOBUFS | Errno::NOMEM) => return Err(Errno::AGAIN),
                result => return result.map(drop),
            }
        }
    }

    /// Sends what waits, as far as there is room.
    pub(crate) fn flush(&mut self) {
        while let Some(message) = self.waiting.front() {
            if self.try_send(message) == Err(Errno::AGAIN) {
                return;
            }
            self.waiting_bytes -= message.len();
            self.waiting.pop_front();
        }
    }
}

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes connections of a listening unix socket.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
    match rustix::net::accept_with(listener, flags) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (Card, OwnedFd) {
        let flags = SocketFlags::NONBLOCK;
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Card::new(a), b)
    }

    fn next(fd: &OwnedFd) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let (len, _) = recv(fd, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }

    #[test]
    fn hello_names_a_port_in_this_version_only() {
        assert_eq!(parse_hello(b"BHSW\x01\0\0\0web"), Hello::Port("web".into()));
        assert_eq!(parse_hello(b"BHSW\x02\0\0\0web"), Hello::Version);
        assert_eq!(parse_hello(b"BHSW\x01\0\0\0"), Hello::Wrong);
        assert_eq!(parse_hello(b"BHSW\x01\0\0\0a b"), Hello::Wrong);
        assert_eq!(parse_hello(b"GET / HTTP/1.1"), Hello::Wrong);
        assert_eq!(parse_hello(b"BH"), Hello::Wrong);
    }

    #[test]
    fn frames_wait_in_order_for_a_card_that_is_slow_and_are_bounded() {
        let (mut card, far) = pair();
        let frame = |n: u32| [&n.to_le_bytes()[..], &[0; 9_996]].concat();
        let taken = (0..).take_while(|n| card.send(&frame(*n))).count() as u32;
        assert!(card.is_busy() && card.waiting_bytes() <= MAX_WAITING);
        for n in 0..taken {
            let message = next(&far).unwrap();
            assert_eq!(message[..4], n.to_le_bytes());
            card.flush();
        }
        assert_eq!(next(&far), None);
        assert_eq!(card.waiting_bytes(), 0);
    }

    #[test]
    fn pulled_cable_empties_the_queue_and_is_told_once() {
        let (mut card, far) = pair();
        card.welcome("p".into(), true);
        assert_eq!(next(&far), Some(vec![WELCOME, 1, VERSION]));
        while card.send(&[0; 10_000]) {}
        card.set_link(false);
        card.set_link(false);
        let mut words = Vec::new();
        while let Some(message) = next(&far) {
            words.extend((message.len() < 10_000).then_some(message));
            card.flush();
        }
        card.set_link(true);
        words.extend(next(&far));
        assert_eq!(words, [[LINK, 0], [LINK, 1]]);
        assert_eq!((next(&far), card.waiting_bytes()), (None, 0));
    }

    #[test]
    fn word_of_offloads_is_kept_and_others_mean_nothing() {
        let (mut card, far) = pair();
        card.welcome("p".into(), true);
        let mut buffer = vec![0; 100];
        for (word, takes) in
            [(&[OFFLOADS, 1][..], true), (&[9, 9, 9], true), (&[OFFLOADS, 0], false)]
        {
            send(&far, word, SendFlags::empty()).unwrap();
            assert_eq!(card.receive(&mut buffer), FromCard::Word);
            assert_eq!(card.takes_partial(), takes);
        }
        drop(far);
        assert_eq!(card.receive(&mut buffer), FromCard::Gone);
    }
}
