//! One connection between the guest and a host program.
//!
//! ```text
//!  host program connects                     guest asks, host program is connected to
//!          │                                          │
//!       Greeting ──CONNECT line──► Requested ──RESPONSE──► Established
//!          │                           │                    │   │
//!          │              RST, timeout │    both sides done │   │ RST, data waits
//!          ▼                           ▼    or a violation  ▼   ▼ for the host program
//!        Closed ◄──RST delivered─── Resetting ◄─────────────┘  Draining ──all sent──► Closed
//! ```
//!
//! The handler calls in with what happened and reads off what the connection needs next: see
//! [`Connection::wants_service`], [`Connection::is_closed`] and the public fields.

mod to_guest;
mod to_host;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

use bitflags::bitflags;
use rustix::net::{SendFlags, Shutdown as How, send, shutdown};
use vmm_sys_util::epoll::EventSet;

use super::backlog::Backlog;
use super::config::Timeouts;
use super::credit::Credit;
use super::metrics::VsockMetrics;
use super::packet::{Key, Shutdown};
use crate::vsock::{Greeting, GreetingStep};

pub(super) use to_guest::Served;

/// What all connections of a device share.
pub(super) struct Env {
    pub(super) cid: u64,
    pub(super) timeouts: Timeouts,
    pub(super) metrics: std::sync::Arc<VsockMetrics>,
}

bitflags! {
    /// Packets that the guest is to get.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    struct Pending: u8 {
        const RESET = 1;
        const REQUEST = 2;
        const RESPONSE = 4;
        const SHUTDOWN = 8;
        const CREDIT_UPDATE = 16;
        const CREDIT_REQUEST = 32;
    }
}

#[derive(Debug)]
enum Phase {
    /// The host program has not said yet what it wants.
    Greeting(Greeting),
    /// The guest has been asked, or is about to be.
    Requested,
    /// Data may flow.
    Established,
    /// The guest is to get a reset; there is no socket any more.
    Resetting,
    /// The guest is done; the host program still has to take what waits for it.
    Draining,
    /// There is nothing left to do.
    Closed,
}

/// A connection, or one in the making.
#[derive(Debug)]
pub(super) struct Connection {
    /// How packets name it, once they do.
    pub(super) key: Option<Key>,
    /// When somebody will have taken too long.
    pub(super) deadline: Option<Instant>,
    /// Whether it stands in line for buffers of the guest.
    pub(super) queued: bool,
    /// Whether the event loop was asked to tell when the socket has room.
    pub(super) watches_room: bool,
    phase: Phase,
    /// Absent while resetting and when closed.
    socket: Option<OwnedFd>,
    credit: Credit,
    backlog: Backlog,
    pending: Pending,
    /// The socket may have data, or an end, to read.
    readable: bool,
    /// The guest was asked for credit since it last gave some.
    asked_for_credit: bool,
    /// What the guest said it will not do any more.
    guest_shut: Shutdown,
    /// What the host program does not do any more.
    host_shut: Shutdown,
    /// Guest buffers to offer to the next read of the socket.
    batch: usize,
}

impl Connection {
    fn new(socket: OwnedFd, key: Option<Key>, phase: Phase, window: u32) -> Self {
        Self {
            key,
            deadline: None,
            queued: false,
            watches_room: false,
            phase,
            socket: Some(socket),
            credit: Credit::new(window),
            backlog: Backlog::default(),
            pending: Pending::empty(),
            readable: false,
            asked_for_credit: false,
            guest_shut: Shutdown::empty(),
            host_shut: Shutdown::empty(),
            batch: to_guest::FIRST_BATCH,
        }
    }

    /// A host program that has connected to the machine's socket. The guest will be granted
    /// `window` bytes.
    pub(super) fn from_host(socket: OwnedFd, window: u32, env: &Env) -> Self {
        let phase = Phase::Greeting(Greeting::default());
        let deadline = Some(Instant::now() + env.timeouts.greeting);
        Self { deadline, ..Self::new(socket, None, phase, window) }
    }

    /// A host program that was connected to because the guest's packet `request` asked for it.
    pub(super) fn from_guest(
        socket: OwnedFd,
        request: &super::packet::Header,
        window: u32,
    ) -> Self {
        let key = Some(Key::of(request));
        let mut connection = Self::new(socket, key, Phase::Established, window);
        connection.credit.hear(request);
        connection.pending = Pending::RESPONSE;
        connection
    }

    /// Bytes that the guest was granted.
    pub(super) fn window(&self) -> u32 {
        self.credit.window()
    }

    /// Whether it can be forgotten.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether the guest's packets no longer reach it under its key.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining)
    }

    /// Whether bytes wait for room in the socket.
    pub(super) fn needs_room(&self) -> bool {
        self.socket.is_some() && !self.backlog.is_empty()
    }

    /// Whether it has something for the guest.
    pub(super) fn wants_service(&self) -> bool {
        !self.pending.is_empty() || self.has_data_to_send()
    }

    /// The socket's descriptor, while there is one.
    pub(super) fn raw_fd(&self) -> Option<RawFd> {
        self.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The socket is ready in some way. Returns the guest's port when a host program has just
    /// said that it wants it; [`request`](Self::request) is due then.
    pub(super) fn host_ready(&mut self, events: EventSet, env: &Env) -> Option<u32> {
        let gone = events.intersects(EventSet::HANG_UP | EventSet::ERROR);
        let read = EventSet::IN | EventSet::READ_HANG_UP;
        self.readable |= gone || events.intersects(read);
        match &mut self.phase {
            Phase::Greeting(greeting) => {
                let socket = self.socket.as_ref()?;
                match greeting.read(socket) {
                    GreetingStep::Connect(port) => return Some(port),
                    GreetingStep::Incomplete => {}
                    GreetingStep::Refused => {
                        env.metrics.refused.increment();
                        self.close(env);
                    }
                }
            }
            Phase::Requested if gone => self.abort(env),
            Phase::Established | Phase::Draining => {
                if gone {
                    self.host_takes_no_more(env);
                } else if events.contains(EventSet::OUT) {
                    self.flush(env);
                }
            }
            Phase::Requested | Phase::Resetting | Phase::Closed => {}
        }
        None
    }

    /// Asks the guest for the connection `key`.
    pub(super) fn request(&mut self, key: Key) {
        self.key = Some(key);
        self.phase = Phase::Requested;
        self.pending = Pending::REQUEST;
        // Begins when the guest gets the packet.
        self.deadline = None;
    }

    /// The deadline has passed.
    pub(super) fn expire(&mut self, env: &Env) {
        env.metrics.timeouts.increment();
        self.abort(env);
    }

    /// Ends it at once; the guest, if it knows of it, gets a reset.
    pub(super) fn abort(&mut self, env: &Env) {
        if self.key.is_none() || matches!(self.phase, Phase::Closed | Phase::Draining) {
            return self.close(env);
        }
        if matches!(self.phase, Phase::Requested) {
            env.metrics.refused.increment();
            if self.pending.contains(Pending::REQUEST) {
                // The guest never heard of it.
                return self.close(env);
            }
        }
        self.drop_socket(env);
        self.phase = Phase::Resetting;
        self.pending = Pending::RESET;
        self.deadline = None;
    }

    /// The guest broke the protocol.
    fn violated(&mut self, env: &Env) {
        env.metrics.violations.increment();
        self.abort(env);
    }

    /// Ends it at once, without a word.
    pub(super) fn close(&mut self, env: &Env) {
        self.drop_socket(env);
        self.phase = Phase::Closed;
        self.pending = Pending::empty();
        self.deadline = None;
    }

    fn drop_socket(&mut self, env: &Env) {
        if self.socket.take().is_some() {
            env.metrics.closed.increment();
        }
        self.backlog.clear();
        self.readable = false;
    }

    /// Tells the host program that the guest accepted.
    fn establish(&mut self, env: &Env) {
        let (Some(socket), Some(key)) = (&self.socket, self.key) else { return };
        let line = format!("OK {}\n", key.host_port);
        // Nothing was written to this socket before: it has room.
        if send(socket, line.as_bytes(), SendFlags::NOSIGNAL).ok() != Some(line.len()) {
            return self.abort(env);
        }
        env.metrics.from_host.increment();
        self.phase = Phase::Established;
        self.deadline = None;
        self.readable = true;
    }

    /// Moves waiting bytes on into the socket.
    fn flush(&mut self, env: &Env) {
        let Some(socket) = &self.socket else { return };
        match self.backlog.flush(socket) {
            Ok(0) if !self.backlog.is_empty() => return,
            Ok(count) => {
                self.forwarded(count);
                if self.deadline.is_some() {
                    self.deadline = Some(Instant::now() + env.timeouts.linger);
                }
            }
            Err(_) => return self.host_takes_no_more(env),
        }
        if self.backlog.is_empty() {
            self.all_sent(env);
        }
    }

    fn forwarded(&mut self, count: usize) {
        self.credit.forward(count);
        if self.credit.update_due() {
            self.pending |= Pending::CREDIT_UPDATE;
        }
    }

    /// Nothing waits for the socket any more: does what had to wait for that.
    fn all_sent(&mut self, env: &Env) {
        if self.is_draining() {
            return self.close(env);
        }
        if self.guest_shut.is_all() {
            // Confirms the guest's shutdown (VIRTIO 1.3, 5.10.6.6).
            self.abort(env);
        } else if self.guest_shut.contains(Shutdown::SEND) {
            self.shut(How::Write);
        }
    }

    /// The host program has gone or will not read: what waits for it is lost.
    fn host_takes_no_more(&mut self, env: &Env) {
        if self.host_shut.contains(Shutdown::RECEIVE) {
            return;
        }
        self.host_shuts(Shutdown::RECEIVE);
        let lost = self.backlog.clear();
        self.forwarded(lost);
        self.all_sent(env);
        if self.guest_shut.contains(Shutdown::RECEIVE) {
            // There is nobody to read for, so its end would not be noticed.
            self.host_shuts(Shutdown::SEND);
        }
    }

    fn host_shuts(&mut self, what: Shutdown) {
        self.host_shut |= what;
        if matches!(self.phase, Phase::Established) {
            self.pending |= Pending::SHUTDOWN;
        }
    }

    fn shut(&mut self, how: How) {
        if let Some(socket) = &self.socket {
            // Fails where the host program has gone, which is noticed by its event.
            let _ = shutdown(socket.as_fd(), how);
        }
    }
}

/// Whether an error only says that it is not the time.
fn is_not_now(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
