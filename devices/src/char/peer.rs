//! The descriptors that a stream's bytes go to and come from.

use std::io;
use std::os::fd::AsRawFd;

use log::error;
use vmm_sys_util::epoll::EventSet;

use super::channel::{INPUT, Shared, State, set};
use super::descriptor::Descriptor;
use crate::virtio::event_loop::Context;

/// Bytes moved in one system call.
const CHUNK: usize = 4096;
/// Chunks moved to one peer before others on the loop get their turn.
const BURST: usize = 16;

/// What a descriptor is to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The configured side: output waits for it, up to [`STALL`].
    Backend,
    /// One of several clients, who lose what they are too slow for.
    Client,
}

/// One descriptor of the host that takes output or gives input.
pub(super) struct Peer {
    pub(super) token: u32,
    fd: Descriptor,
    pub(super) role: Role,
    /// Position in the output of what it gets next, if it gets any.
    pub(super) output: Option<u64>,
    /// Bytes it took so far.
    pub(super) sent: u64,
    /// Whether it gives input.
    input: bool,
    /// It took less than there was.
    full: bool,
    watched: EventSet,
    /// The kernel cannot watch it, as it is always ready (a file, say).
    unwatchable: bool,
}

impl Peer {
    pub(super) fn new(
        token: u32,
        fd: Descriptor,
        role: Role,
        output: Option<u64>,
        input: bool,
    ) -> Self {
        Self {
            token,
            fd,
            role,
            output,
            sent: 0,
            input,
            full: false,
            watched: EventSet::empty(),
            unwatchable: false,
        }
    }

    /// Sends output as far as it fits; whether there is more that would. An error means that the
    /// peer is gone.
    pub(super) fn send(&mut self, shared: &Shared) -> io::Result<bool> {
        let Some(mut at) = self.output else { return Ok(false) };
        let mut chunk = [0; CHUNK];
        for _ in 0..BURST {
            let len = {
                let state = shared.lock();
                let start = state.ring.start();
                if at < start {
                    if self.role == Role::Backend {
                        shared.metrics.dropped.add(start - at);
                    }
                    at = start;
                }
                state.ring.read(at, &mut chunk)
            };
            self.output = Some(at);
            if len == 0 {
                self.full = false;
                return Ok(false);
            }
            match self.fd.write(&chunk[..len]) {
                Ok(n) => {
                    at += n as u64;
                    self.sent += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.full = true;
                    return Ok(false);
                }
                // A full disk costs the output, but it may have room again.
                Err(e) if e.kind() == io::ErrorKind::StorageFull => {
                    shared.metrics.dropped.add(len as u64);
                    at += len as u64;
                }
                Err(e) => return Err(e),
            }
            self.output = Some(at);
        }
        Ok(true)
    }

    /// Takes input as far as there is room; whether there may be more.
    pub(super) fn receive(&mut self, shared: &Shared) -> io::Result<bool> {
        if !self.input {
            return Ok(false);
        }
        let mut chunk = [0; CHUNK];
        let room = room(&mut shared.lock());
        if room == 0 {
            return Ok(false);
        }
        match self.fd.read(&mut chunk[..room.min(CHUNK)]) {
            Ok(0) if self.role == Role::Backend && self.output.is_none() => {
                self.input = false;
                Ok(false)
            }
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                shared.lock().input.extend(&chunk[..n]);
                set(&shared.wake_guest);
                Ok(self.unwatchable)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Watches for what it waits for. Whether it is ready already, as the kernel will not tell.
    pub(super) fn watch(&mut self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        let mut wanted = EventSet::empty();
        wanted.set(EventSet::IN, self.input && room(&mut shared.lock()) > 0);
        wanted.set(EventSet::OUT, self.full);
        let before = self.unwatchable;
        self.set_watched(wanted, cx);
        self.unwatchable && !before
    }

    /// A descriptor of which nothing is wanted is not watched at all: the kernel would go on
    /// telling that it hung up.
    pub(super) fn set_watched(&mut self, wanted: EventSet, cx: &mut Context<'_>) {
        if self.unwatchable || wanted == self.watched {
            return;
        }
        let result = if self.watched.is_empty() {
            cx.watch(&self.fd, self.token, wanted)
        } else if wanted.is_empty() {
            cx.unwatch(&self.fd)
        } else {
            cx.rewatch(&self.fd, self.token, wanted)
        };
        match result {
            Ok(()) => self.watched = wanted,
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => self.unwatchable = true,
            Err(e) => error!("console: failed to watch {}: {e}", self.fd.as_raw_fd()),
        }
    }
}

/// Room for input. Where there is none, the guest will tell when it took some.
fn room(state: &mut State) -> usize {
    let room = INPUT.saturating_sub(state.input.len());
    state.host_waits = room == 0;
    room
}
