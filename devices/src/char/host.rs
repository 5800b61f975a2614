//! The host's end of a stream: moves bytes between the channel and file descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use vmm_sys_util::epoll::EventSet;

use super::backend::Backend;
use super::channel::{Shared, clear, set};
use super::descriptor::Descriptor;
use super::peer::{Peer, Role};
use crate::rate_limiter::{LimitTimer, Wait};
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::queue::{Queue, QueueState};

/// How long a backend that takes nothing can hold the guest back. From then on its output is
/// dropped until the backend takes some again.
pub const STALL: Duration = Duration::from_secs(1);

/// Clients that can be attached at the same time.
const MAX_CLIENTS: usize = 16;

const WAKE: u32 = 0;
const TIMER: u32 = 1;
const LISTENER: u32 = 2;
/// Tokens of peers count from here.
const PEERS: u32 = 3;

/// Why a client cannot be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There are too many.
    #[error("a console cannot have more than {MAX_CLIENTS} clients")]
    TooMany,
    /// Its descriptor cannot be used.
    #[error("failed to attach a client to a console")]
    Descriptor(#[source] io::Error),
}

/// Moves the bytes of one stream. Runs on an event loop, and does so only for that: it has no
/// queues.
pub(super) struct HostEnd {
    shared: Arc<Shared>,
    peers: Vec<Peer>,
    listener: Option<(UnixListener, bool)>,
    /// Kept open for the sake of others.
    backend: Option<Backend>,
    next_token: u32,
    timer: LimitTimer,
    timing: bool,
    stalled: bool,
}

impl HostEnd {
    pub(super) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self {
            shared,
            peers: Vec::new(),
            listener: None,
            backend: None,
            next_token: PEERS,
            timer: LimitTimer::new()?,
            timing: false,
            stalled: false,
        })
    }

    /// Begins to serve `backend`. To be called once, on the loop.
    pub(super) fn open(&mut self, mut backend: Backend, cx: &mut Context<'_>) -> io::Result<()> {
        cx.watch(&self.shared.wake_host, WAKE, EventSet::IN)?;
        cx.watch(&self.timer, TIMER, EventSet::IN)?;
        if let Some(fd) = backend.input.take() {
            self.add(fd, Role::Backend, None, true);
        }
        if let Some(fd) = backend.output.take() {
            self.add(fd, Role::Backend, Some(0), false);
        }
        if let Some(fd) = backend.duplex.take() {
            self.add(fd, Role::Backend, Some(0), true);
        }
        self.listener = backend.listener.take().map(|l| (l, false));
        self.backend = Some(backend);
        self.watch_listener(cx);
        self.pump(cx);
        Ok(())
    }

    /// Attaches a client, which gets the output kept so far and what follows, and whose bytes are
    /// input. It is detached when it hangs up.
    pub(super) fn attach(&mut self, fd: OwnedFd, cx: &mut Context<'_>) -> Result<(), AttachError> {
        if self.peers.iter().filter(|p| p.role == Role::Client).count() >= MAX_CLIENTS {
            return Err(AttachError::TooMany);
        }
        let fd = Descriptor::own(fd).map_err(AttachError::Descriptor)?;
        let start = self.shared.lock().ring.start();
        self.add(fd, Role::Client, Some(start), true);
        self.pump(cx);
        Ok(())
    }

    fn add(&mut self, fd: Descriptor, role: Role, output: Option<u64>, input: bool) {
        let token = self.next_token;
        // Tokens are below 2^31; no console sees so many clients.
        self.next_token = (token + 1).clamp(PEERS, 1 << 30);
        self.peers.push(Peer::new(token, fd, role, output, input));
    }

    /// Moves what can be moved, and waits for what cannot.
    fn pump(&mut self, cx: &mut Context<'_>) {
        let shared = Arc::clone(&self.shared);
        let before = self.taken_by_backend();
        let mut again = false;
        let mut gone = Vec::new();
        for peer in &mut self.peers {
            let moved = peer.send(&shared).and_then(|more| Ok(more | peer.receive(&shared)?));
            match moved {
                Ok(more) => again |= more,
                Err(e) => gone.push((peer.token, e)),
            }
        }
        let progress = self.taken_by_backend() != before;
        for (token, error) in gone {
            self.remove(token, &error, cx);
        }
        for peer in &mut self.peers {
            again |= peer.watch(&shared, cx);
        }
        self.watch_listener(cx);
        self.hold_or_release(progress);
        if again {
            set(&shared.wake_host);
        }
    }

    fn backend(&self) -> Option<&Peer> {
        self.peers.iter().find(|p| p.role == Role::Backend && p.output.is_some())
    }

    fn taken_by_backend(&self) -> u64 {
        self.backend().map_or(0, |p| p.sent)
    }

    /// Tells the guest of room that came up, and times the backend while the guest waits.
    fn hold_or_release(&mut self, progress: bool) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let at = self.backend().and_then(|p| p.output);
        self.stalled &= at.is_some() && !progress;
        state.backend_at = at.filter(|_| !self.stalled);
        if state.guest_waits && state.room() > 0 {
            state.guest_waits = false;
            set(&shared.wake_guest);
        }
        self.time(state.guest_waits, progress);
    }

    fn time(&mut self, wait: bool, progress: bool) {
        let result = match (wait, self.timing) {
            (true, false) => self.timer.arm(Wait(STALL)),
            (true, true) if progress => self.timer.arm(Wait(STALL)),
            (false, true) => self.timer.disarm(),
            _ => Ok(()),
        };
        self.timing = wait;
        if let Err(e) = result {
            error!("console: failed to set its timer: {e}");
        }
    }

    fn stall(&mut self, cx: &mut Context<'_>) {
        self.timing = false;
        if let Err(e) = self.timer.disarm() {
            error!("console: failed to disarm its timer: {e}");
        }
        if self.shared.lock().guest_waits {
            warn!("console: nobody takes its output, which is dropped from now on");
            self.stalled = true;
        }
        self.pump(cx);
    }

    fn remove(&mut self, token: u32, reason: &io::Error, cx: &mut Context<'_>) {
        let Some(index) = self.peers.iter().position(|p| p.token == token) else { return };
        let mut peer = self.peers.swap_remove(index);
        peer.set_watched(EventSet::empty(), cx);
        if reason.kind() != io::ErrorKind::UnexpectedEof {
            info!("console: closed a {:?}: {reason}", peer.role);
        }
    }

    fn watch_listener(&mut self, cx: &mut Context<'_>) {
        let busy = self.peers.iter().any(|p| p.role == Role::Backend);
        let Some((listener, watched)) = &mut self.listener else { return };
        let result = match (busy, *watched) {
            (false, false) => cx.watch(listener, LISTENER, EventSet::IN),
            (true, true) => cx.unwatch(listener),
            _ => return,
        };
        match result {
            Ok(()) => *watched = !busy,
            Err(e) => error!("console: failed to watch its socket: {e}"),
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) {
        let Some((listener, _)) = &self.listener else { return };
        match listener.accept().and_then(|(client, _)| Descriptor::own(client.into())) {
            Ok(fd) => {
                let start = self.shared.lock().ring.start();
                self.add(fd, Role::Backend, Some(start), true);
                self.pump(cx);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => warn!("console: failed to accept a client: {e}"),
        }
    }
}

impl Handler for HostEnd {
    fn start_queue(&mut self, _: Queue, _: &mut Context<'_>) -> Result<(), StartQueueError> {
        Ok(())
    }

    fn stop_queue(&mut self, _: u16, _: &mut Context<'_>) -> Option<QueueState> {
        None
    }

    fn kicked(&mut self, _: u16, _: &mut Context<'_>) {}

    fn ready(&mut self, token: u32, _: EventSet, cx: &mut Context<'_>) {
        match token {
            WAKE => {
                clear(&self.shared.wake_host);
                // Before looking: what is written from now on comes with an event of its own.
                self.shared.lock().host_told = false;
                self.pump(cx);
            }
            TIMER => self.stall(cx),
            LISTENER => self.accept(cx),
            _ => self.pump(cx),
        }
    }
}
