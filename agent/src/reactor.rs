//! Waiting for many descriptors at once, edge-triggered.
//!
//! Every descriptor is registered once, for everything, and never touched again: its owner works
//! until the kernel says "would block", and the next edge wakes it. What stops early to be fair to
//! others asks to be woken again with [`Reactor::again`].

use std::{
    collections::VecDeque,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

/// Names whoever is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(u64);

impl Token {
    /// One that is never given to anybody.
    pub(crate) const NOBODY: Self = Self(0);
}

/// What happened to a registered descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wake {
    /// Whose it is.
    pub(crate) token: Token,
    /// The other end is gone altogether, or the descriptor failed.
    pub(crate) hung_up: bool,
    /// It was registered with [`Side::Sink`].
    pub(crate) side: Side,
}

/// Which of the two descriptors of one owner is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What is read from, or the only one.
    Source,
    /// What is written to.
    Sink,
}

/// An epoll instance.
pub(crate) struct Reactor {
    epoll: OwnedFd,
    next: u64,
    again: VecDeque<Token>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, next: 0, again: VecDeque::new() })
    }

    /// A token that nobody has or had.
    pub(crate) fn token(&mut self) -> Token {
        self.next += 1;
        Token(self.next)
    }

    /// Registers `fd` until it is closed.
    pub(crate) fn watch(&self, fd: impl AsFd, token: Token, side: Side) -> io::Result<()> {
        let data = EventData::new_u64((token.0 << 1) | u64::from(side == Side::Sink));
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, fd, data, flags)?)
    }

    /// Registers `fd`, a file of the kernel's, for what it has of priority.
    pub(crate) fn watch_priority(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let data = EventData::new_u64(token.0 << 1);
        Ok(epoll::add(&self.epoll, fd, data, EventFlags::PRI | EventFlags::ET)?)
    }

    /// Forgets `fd`, whose owner goes on with it under another token.
    pub(crate) fn unwatch(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Wakes `token` again after everybody else had a turn.
    pub(crate) fn again(&mut self, token: Token) {
        self.again.push_back(token);
    }

    /// Blocks until somebody is to be woken, or `most` has passed.
    pub(crate) fn wait(&mut self, wakes: &mut Vec<Wake>, most: Option<Duration>) -> io::Result<()> {
        wakes.clear();
        let mut space = [MaybeUninit::<Event>::uninit(); 64];
        let most = if self.again.is_empty() { most } else { Some(Duration::ZERO) };
        let timeout = most.and_then(|most| Timespec::try_from(most).ok());
        let events = match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => &mut [],
            Err(error) => return Err(error.into()),
        };
        wakes.extend(events.iter().map(|event| {
            let Event { flags, data } = *event;
            let data = data.u64();
            Wake {
                token: Token(data >> 1),
                hung_up: flags.intersects(EventFlags::HUP | EventFlags::ERR),
                side: if data & 1 == 0 { Side::Source } else { Side::Sink },
            }
        }));
        let early = self.again.drain(..);
        wakes.extend(early.map(|token| Wake { token, hung_up: false, side: Side::Source }));
        Ok(())
    }
}
