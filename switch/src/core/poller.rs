//! Waiting for descriptors, and what their events are for.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData};
use rustix::time::Timespec;

pub(crate) use rustix::event::epoll::EventFlags;

/// Events taken at a time.
const BATCH: usize = 256;

/// Whom an event or a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Source {
    /// The control socket.
    ControlListener,
    /// The cards' socket.
    CardListener,
    /// A connection of the engine.
    Control,
    /// A card.
    Card,
    /// A TCP connection.
    Tcp,
    /// A UDP association.
    Udp,
    /// An echo association.
    Echo,
    /// A question to a name server.
    Question,
    /// A guest's TCP connection to the name server.
    DnsStream,
    /// A published port.
    Publication,
    /// A socket of the name server's on the host.
    DnsCounter,
}

const SOURCES: [Source; 11] = [
    Source::ControlListener,
    Source::CardListener,
    Source::Control,
    Source::Card,
    Source::Tcp,
    Source::Udp,
    Source::Echo,
    Source::Question,
    Source::DnsStream,
    Source::Publication,
    Source::DnsCounter,
];

/// One of them. Ids are never used twice, so that an event which comes late finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token {
    pub(crate) source: Source,
    pub(crate) id: u64,
}

/// Bits of an id.
const ID_BITS: u32 = 56;

impl Token {
    pub(crate) fn new(source: Source, id: u64) -> Self {
        Self { source, id }
    }

    fn pack(self) -> u64 {
        (self.source as u64) << ID_BITS | self.id
    }

    fn unpack(packed: u64) -> Option<Self> {
        let source = *SOURCES.get((packed >> ID_BITS) as usize)?;
        Some(Self { source, id: packed & ((1 << ID_BITS) - 1) })
    }
}

/// An epoll instance.
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Watches a descriptor until it is closed.
    pub(crate) fn watch(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token.pack()), flags)?)
    }

    /// Changes what is watched of a descriptor.
    pub(crate) fn rewatch(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token.pack()), flags)?)
    }

    /// Waits for events, at most so long; `None`: without end.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        events: &mut Vec<(Token, EventFlags)>,
    ) -> io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        events.clear();
        let mut room = [MaybeUninit::uninit(); BATCH];
        let found = match epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            Ok((found, _)) => found,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let known = |event: &epoll::Event| {
            let (data, flags) = (event.data, event.flags);
            Token::unpack(data.u64()).map(|token| (token, flags))
        };
        events.extend(found.iter().filter_map(known));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_their_packing() {
        for (at, source) in SOURCES.into_iter().enumerate() {
            assert_eq!(source as usize, at);
            let token = Token::new(source, 77);
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert_eq!(Token::unpack(u64::MAX), None);
    }
}
