//! One TCP connection: a socket towards the card, a socket of the host, and what goes between them.
//!
//! Bytes go from the one's buffer into the other and back, only as far as the other takes them, so
//! that a slow reader slows the writer and nothing else. An end of one direction is passed on as
//! such; a reset is passed on as a reset.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration as TcpDuration;

use super::held::Held;
use crate::core::port::PortId;

#[cfg(test)]
mod tests;

/// Bytes of each direction that may be on their way in a connection of those that a port has many
/// of: two packets of the largest MTU, and some.
const BUFFER: usize = 160 << 10;
/// And in one of the first: the ends sleep in between, and should find more than a packet or two
/// when they wake.
const ROOMY_BUFFER: usize = 512 << 10;
/// A guest that is silent for so long has gone.
const PATIENCE: TcpDuration = TcpDuration::from_secs(900);
/// A guest with nothing to say is asked so often whether it is there: the library's patience also
/// ends connections on which nothing is on its way.
const KEEP_ALIVE: TcpDuration = TcpDuration::from_secs(240);
/// A guest that does not answer a call for so long never will.
const CALL_PATIENCE: TcpDuration = TcpDuration::from_secs(30);

/// Names a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) port: PortId,
    /// The guest's end.
    pub(crate) guest: SocketAddr,
    /// What the guest believes the other end to be.
    pub(crate) far: SocketAddr,
}

/// What a connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait.
    Wait,
    /// Nothing more: it is over.
    End,
}

/// See the [module](self).
pub(crate) struct Flow {
    pub(crate) key: Key,
    pub(crate) sockets: SocketSet<'static>,
    handle: SocketHandle,
    pub(crate) host: OwnedFd,
    /// The publication it came by.
    pub(crate) publication: Option<u64>,
    /// The host's socket is connecting; until it has, the guest hears nothing.
    connecting: bool,
    readable: bool,
    writable: bool,
    /// The host's end of its stream has been passed on.
    host_ended: bool,
    /// The guest's end of its stream has been passed on.
    guest_ended: bool,
    established: bool,
    pub(crate) timer: Option<Instant>,
    /// What the guest has not been told to have arrived.
    pub(crate) held: Held,
    /// It waits for the card to take more.
    pub(crate) stalled: bool,
}

fn socket(roomy: bool) -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; if roomy { ROOMY_BUFFER } else { BUFFER }]);
    let mut socket = Socket::new(buffer(), buffer());
    // What to wait for is the senders' business, and there is no network to spare in between.
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    // Before there is a connection: later it would ask at once.
    socket.set_keep_alive(Some(KEEP_ALIVE));
    socket
}

impl Flow {
    fn new(key: Key, host: OwnedFd, socket: Socket<'static>) -> Self {
        let held = Held::new(socket.recv_capacity());
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self {
            key,
            sockets,
            handle,
            host,
            publication: None,
            connecting: false,
            readable: false,
            writable: false,
            host_ended: false,
            guest_ended: false,
            established: false,
            timer: None,
            held,
            stalled: false,
        }
    }

    /// A connection that a guest asks for, whose first packet follows. With `connecting`, the guest
    /// gets its answer when the host's socket has connected.
    pub(crate) fn called_by_guest(
        key: Key,
        host: OwnedFd,
        connecting: bool,
        roomy: bool,
    ) -> Option<Self> {
        let mut socket = socket(roomy);
        socket.pause_synack(connecting);
        socket.set_timeout(Some(PATIENCE));
        socket.listen(key.far).ok()?;
        let mut flow = Self::new(key, host, socket);
        flow.connecting = connecting;
        Some(flow)
    }

    /// A connection to the guest, for one that the host has accepted.
    pub(crate) fn calls_guest(
        key: Key,
        host: OwnedFd,
        publication: u64,
        roomy: bool,
        context: &mut smoltcp::iface::Context,
    ) -> Option<Self> {
        let mut socket = socket(roomy);
        socket.set_timeout(Some(CALL_PATIENCE));
        socket.connect(context, key.guest, key.far).ok()?;
        let mut flow = Self::new(key, host, socket);
        flow.publication = Some(publication);
        Some(flow)
    }

    /// Whether the host's socket has yet to connect.
    pub(crate) fn is_connecting(&self) -> bool {
        self.connecting
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Takes note of what the host's socket is ready for.
    pub(crate) fn host_is_ready(&mut self, readable: bool, writable: bool) {
        if self.connecting && (readable || writable) {
            match sockopt::socket_error(&self.host) {
                Ok(Ok(())) => {
                    self.connecting = false;
                    self.socket().pause_synack(false);
                }
                _ => self.socket().abort(),
            }
        }
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Bytes of the guest that have not been passed on.
    pub(crate) fn received(&mut self) -> usize {
        self.socket().recv_queue()
    }

    /// Until when the guest need not hear that its bytes have come: they have been passed on, and
    /// there is nothing else to tell it.
    pub(crate) fn holds_until(&mut self, now: Instant) -> Option<Instant> {
        let until = self.held.until(now)?;
        let socket = self.socket();
        let idle = socket.state() == State::Established
            && socket.send_queue() == 0
            && socket.recv_queue() == 0;
        idle.then_some(until)
    }

    /// Moves bytes and ends both ways, as far as it goes at once.
    pub(crate) fn splice(&mut self) -> Next {
        if self.connecting {
            return match self.socket().state() {
                State::Closed => Next::End,
                _ => Next::Wait,
            };
        }
        if !self.established && self.socket().state() == State::Established {
            self.established = true;
            self.socket().set_timeout(Some(PATIENCE));
        }
        if self.pass_to_host().and_then(|()| self.pass_to_guest()).is_err() {
            self.socket().abort();
            return Next::End;
        }
        let all_received = self.guest_ended;
        match self.socket().state() {
            State::Closed => {
                if !all_received || !self.host_ended {
                    // It was reset, or nobody answered: so is the other side.
                    let _ = sockopt::set_socket_linger(&self.host, Some(Duration::ZERO));
                }
                Next::End
            }
            State::TimeWait if all_received => Next::End,
            _ => Next::Wait,
        }
    }

    /// From the guest to the host.
    fn pass_to_host(&mut self) -> Result<(), Errno> {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        while self.writable && socket.can_recv() {
            let (host, writable) = (&self.host, &mut self.writable);
            let sent = socket.recv(|data| {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let sent = retried(|| send(host, data, flags), writable);
                (*sent.as_ref().unwrap_or(&0), sent)
            });
            if !matches!(sent, Ok(Ok(_))) {
                return sent.unwrap_or(Ok(0)).map(drop);
            }
        }
        let guest_closed = matches!(
            socket.state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        if guest_closed && !self.guest_ended && socket.recv_queue() == 0 {
            self.guest_ended = true;
            // It may be over already.
            let _ = shutdown(&self.host, Shutdown::Write);
        }
        Ok(())
    }

    /// From the host to the guest.
    fn pass_to_guest(&mut self) -> Result<(), Errno> {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        while self.readable && !self.host_ended && socket.can_send() {
            let (host, readable) = (&self.host, &mut self.readable);
            let mut ended = false;
            let received = socket.send(|room| {
                let flags = RecvFlags::DONTWAIT;
                let got = retried(|| recv(host, &mut *room, flags).map(|(n, _)| n), readable);
                ended = got == Ok(0) && *readable;
                (*got.as_ref().unwrap_or(&0), got)
            });
            if ended {
                self.host_ended = true;
                socket.close();
            }
            if !matches!(received, Ok(Ok(_))) {
                return received.unwrap_or(Ok(0)).map(drop);
            }
        }
        Ok(())
    }
}

/// Calls again after a signal. Where it would block, clears `ready` and makes nothing of it.
fn retried(
    mut call: impl FnMut() -> Result<usize, Errno>,
    ready: &mut bool,
) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                *ready = false;
                return Ok(0);
            }
            result => return result,
        }
    }
}
