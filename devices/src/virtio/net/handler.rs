//! A pair of a receive and a transmit queue over one queue of the backend.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use log::error;
use vmm_sys_util::epoll::EventSet;

use super::detour::Detour;
use super::filter::RxFilter;
use super::header::HEADER_LEN;
#[cfg(feature = "fake-driver")]
use super::header::{LARGE_FRAME, PLAIN_FRAME};
use super::link::Link;
use super::metrics::NetMetrics;
use super::rx::{Receiver, RxMode, Sources};
use super::tx::Transmitter;
use crate::net::{NetBackend, Offloads};
use crate::occurrences::Occurrences;
#[cfg(feature = "fake-driver")]
use crate::rate_limiter::LimiterConfig;
use crate::rate_limiter::{LimitTimer, SharedLimiter, Wait};
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::queue::{Queue, QueueState};

const BACKEND: u32 = 0;
const RX_TIMER: u32 = 1;
const TX_TIMER: u32 = 2;
const DETOUR_TIMER: u32 = 3;

/// Frames that waited while the link was down, thrown away when it comes up.
const MAX_STALE: usize = 4096;

/// A detour is not asked more often than this without a reason.
const MIN_DETOUR_WAIT: Duration = Duration::from_millis(1);

/// What the two directions share.
pub(super) struct Port {
    pub(super) backend: Arc<dyn NetBackend>,
    pub(super) detour: Option<Arc<dyn Detour>>,
    pub(super) link: Arc<Link>,
    pub(super) metrics: Arc<NetMetrics>,
    pub(super) rx_limiter: Arc<SharedLimiter>,
    pub(super) tx_limiter: Arc<SharedLimiter>,
}

/// Why a direction stopped for now.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing to do until there is news.
    Idle,
    /// There is more to do, after others had their turn.
    Again,
    /// The rate limit says when to go on.
    Throttled(Wait),
    /// The backend takes no more for now.
    Blocked,
    /// The backend is no more.
    Gone(io::Error),
}

/// The back of one pair of queues: of index 2n (receive) and 2n + 1 (transmit).
pub struct PairHandler {
    port: Port,
    mode: RxMode,
    offloads: Offloads,
    filter: Arc<RxFilter>,
    rx: Option<Receiver>,
    tx: Option<Transmitter>,
    sources: Sources,
    rx_throttled: bool,
    tx_throttled: bool,
    tx_blocked: bool,
    rx_timer: LimitTimer,
    tx_timer: LimitTimer,
    detour_timer: LimitTimer,
    timers_watched: bool,
    watched: EventSet,
    link_up: bool,
    enabled: bool,
    gone: bool,
    /// Times that a driver began and the interface could not be set up for it.
    failures: Occurrences,
}

impl PairHandler {
    pub(super) fn new(port: Port) -> io::Result<Self> {
        Ok(Self {
            port,
            mode: RxMode::default(),
            offloads: Offloads::empty(),
            filter: Arc::new(RxFilter::open(None)),
            rx: None,
            tx: None,
            sources: Sources::default(),
            rx_throttled: false,
            tx_throttled: false,
            tx_blocked: false,
            rx_timer: LimitTimer::new()?,
            tx_timer: LimitTimer::new()?,
            detour_timer: LimitTimer::new()?,
            timers_watched: false,
            watched: EventSet::empty(),
            link_up: true,
            enabled: true,
            gone: false,
            failures: Occurrences::new(),
        })
    }

    /// A handler without a front, for fuzz targets to drive: `mergeable` and `large` say what
    /// counts as negotiated for receiving (spread over several buffers; trains of segments).
    #[cfg(feature = "fake-driver")]
    pub fn alone(backend: Arc<dyn NetBackend>, mergeable: bool, large: bool) -> io::Result<Self> {
        let mut handler = Self::new(Port {
            backend,
            detour: None,
            link: Arc::default(),
            metrics: Arc::default(),
            rx_limiter: Arc::new(SharedLimiter::new(LimiterConfig::default())),
            tx_limiter: Arc::new(SharedLimiter::new(LimiterConfig::default())),
        })?;
        handler
            .set_mode(RxMode { mergeable, largest: if large { LARGE_FRAME } else { PLAIN_FRAME } });
        Ok(handler)
    }

    /// A driver begins: what it negotiated, and whether this pair is in use from the start.
    pub(super) fn begin(
        &mut self,
        enabled: bool,
        mode: RxMode,
        offloads: Offloads,
        cx: &mut Context<'_>,
    ) {
        self.set_mode(mode);
        // One queue of the backend stands for all.
        let offloaded = if enabled { self.set_offloads(offloads) } else { Ok(()) };
        if let Err(e) = offloaded.and_then(|()| self.set_enabled(enabled, cx))
            && let Some(seen) = self.failures.next()
        {
            error!(
                "failed to set the host's interface up for the guest ({seen} times so far): {e}"
            );
        }
    }

    /// Sets what the driver negotiated for receiving.
    pub(super) fn set_mode(&mut self, mode: RxMode) {
        self.mode = mode;
        if let Some(rx) = &mut self.rx {
            rx.set_mode(mode);
        }
    }

    /// Sets what the driver takes over from the backend, for all pairs.
    pub(super) fn set_offloads(&mut self, offloads: Offloads) -> io::Result<()> {
        self.offloads = offloads;
        self.port.backend.set_offloads(offloads)
    }

    /// Sets which frames the driver wants.
    pub(super) fn set_filter(&mut self, filter: Arc<RxFilter>) {
        self.filter = filter;
    }

    /// Takes the pair into use or out of it (VIRTIO 1.3, 5.1.6.5.5).
    pub(super) fn set_enabled(&mut self, enabled: bool, cx: &mut Context<'_>) -> io::Result<()> {
        if self.enabled == enabled {
            return Ok(());
        }
        self.port.backend.set_enabled(enabled)?;
        self.enabled = enabled;
        self.watch_backend(cx);
        self.look_again(cx);
        Ok(())
    }

    /// Plugs the cable or pulls it. What the host sent meanwhile is lost. A backend that has gone
    /// is looked for again.
    pub(super) fn set_link(&mut self, up: bool, cx: &mut Context<'_>) {
        if up && self.gone {
            self.reconnect(cx);
        } else if up && !self.link_up && self.enabled {
            self.discard_stale();
        }
        self.link_up = up;
        self.look_again(cx);
    }

    fn discard_stale(&self) {
        let mut scrap = [0; 16];
        for _ in 0..MAX_STALE {
            match rustix::io::read(self.port.backend.as_fd(), &mut scrap) {
                // The end shows itself when receiving.
                Ok(0) | Err(_) => return,
                Ok(len) => {
                    let word = scrap.get(..len).filter(|word| word.len() < HEADER_LEN);
                    if let Some(alive) = word.and_then(|word| self.port.backend.cable_word(word)) {
                        self.port.link.set_alive(alive);
                    }
                }
            }
        }
    }

    fn reconnect(&mut self, cx: &mut Context<'_>) {
        match self.port.backend.reconnect() {
            None => {}
            Some(Err(error)) => error!("the host's network interface is still gone: {error}"),
            Some(Ok(backend)) => {
                self.port.backend = backend;
                self.gone = false;
                self.tx_blocked = false;
                if let Err(error) = self.port.backend.set_offloads(self.offloads) {
                    error!("failed to set the host's interface up for the guest: {error}");
                }
                self.watch_backend(cx);
                self.port.link.set_alive(self.port.backend.is_plugged_in());
            }
        }
    }

    /// Tries whatever waited for the rate limits, which have changed.
    pub(super) fn look_again(&mut self, cx: &mut Context<'_>) {
        self.rx_throttled = false;
        self.tx_throttled = false;
        self.sources = Sources { backend: true, detour: true };
        self.receive(cx);
        self.transmit(cx);
    }

    fn receive(&mut self, cx: &mut Context<'_>) {
        let Some(rx) = &mut self.rx else { return };
        if self.rx_throttled || !self.link_up {
            return;
        }
        let mut sources = self.sources;
        sources.backend &= self.enabled && !self.gone;
        let progress = rx.run(&self.port, &self.filter, &mut sources);
        let index = rx.index();
        self.sources = sources;
        match progress {
            Progress::Idle | Progress::Blocked => {}
            Progress::Again => cx.kick_again(index),
            Progress::Throttled(wait) => {
                self.rx_throttled = arm(&self.rx_timer, wait);
            }
            Progress::Gone(error) => {
                self.lose_backend(&error, cx);
                // The detour may have frames still.
                cx.kick_again(index);
            }
        }
        self.schedule_detour();
    }

    fn transmit(&mut self, cx: &mut Context<'_>) {
        let Some(tx) = &mut self.tx else { return };
        if self.tx_throttled || self.tx_blocked {
            return;
        }
        let discard = !self.link_up || !self.enabled;
        let mut detoured = false;
        let progress = tx.run(&self.port, discard || self.gone, &mut detoured);
        let index = tx.index();
        match progress {
            Progress::Idle => {}
            Progress::Again => cx.kick_again(index),
            Progress::Throttled(wait) => {
                self.tx_throttled = arm(&self.tx_timer, wait);
            }
            Progress::Blocked => {
                self.tx_blocked = true;
                self.watch_backend(cx);
            }
            Progress::Gone(error) => {
                self.lose_backend(&error, cx);
                cx.kick_again(index);
            }
        }
        if detoured {
            self.sources.detour = true;
            self.receive(cx);
        }
    }

    /// The backend has gone for good: said once. The guest's frames are dropped from now on.
    fn lose_backend(&mut self, error: &io::Error, cx: &mut Context<'_>) {
        if !self.gone {
            error!("the host's network interface has gone: {error}");
            self.gone = true;
            self.port.metrics.backend_lost.increment();
            self.port.link.set_alive(false);
            self.watch_backend(cx);
        }
    }

    fn schedule_detour(&mut self) {
        // A frame that is due waits for a buffer or the rate limit, not for time.
        if self.sources.detour {
            return;
        }
        if let Some(after) = self.port.detour.as_ref().and_then(|d| d.wake_after()) {
            arm(&self.detour_timer, Wait(after.max(MIN_DETOUR_WAIT)));
        }
    }

    /// What is to be watched of the backend. Edge-triggered, so that a frame for which there is no
    /// buffer causes no work, and buffers that come when there is no frame cause no system call.
    fn wanted_events(&self) -> EventSet {
        let mut events = EventSet::empty();
        if self.gone || !self.enabled {
            return events;
        }
        events.set(EventSet::IN, self.rx.is_some());
        events.set(EventSet::OUT, self.tx.is_some() && self.tx_blocked);
        if !events.is_empty() {
            events |= EventSet::EDGE_TRIGGERED;
        }
        events
    }

    fn watch_backend(&mut self, cx: &mut Context<'_>) {
        let wanted = self.wanted_events();
        if let Err(e) = self.try_watch_backend(wanted, cx) {
            error!("failed to watch the host's network interface: {e}");
        }
    }

    fn try_watch_backend(&mut self, wanted: EventSet, cx: &mut Context<'_>) -> io::Result<()> {
        if wanted == self.watched {
            return Ok(());
        }
        let fd = BackendFd(self.port.backend.as_fd().as_raw_fd());
        match (self.watched.is_empty(), wanted.is_empty()) {
            (true, _) => cx.watch(&fd, BACKEND, wanted)?,
            (false, false) => cx.rewatch(&fd, BACKEND, wanted)?,
            (false, true) => cx.unwatch(&fd)?,
        }
        self.watched = wanted;
        Ok(())
    }

    fn watch_timers(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.timers_watched {
            cx.watch(&self.rx_timer, RX_TIMER, EventSet::IN)?;
            cx.watch(&self.tx_timer, TX_TIMER, EventSet::IN)?;
            cx.watch(&self.detour_timer, DETOUR_TIMER, EventSet::IN)?;
            self.timers_watched = true;
        }
        Ok(())
    }
}

impl Handler for PairHandler {
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        let index = queue.index();
        let failed = |operation| move |source| StartQueueError::Host { operation, index, source };
        self.watch_timers(cx).map_err(failed("watch its timers"))?;
        if is_transmit(index) {
            self.tx = Some(Transmitter::new(queue));
            self.tx_blocked = false;
            self.tx_throttled = false;
        } else {
            self.rx = Some(Receiver::new(queue, self.mode));
            self.sources = Sources { backend: true, detour: true };
            self.rx_throttled = false;
        }
        let wanted = self.wanted_events();
        self.try_watch_backend(wanted, cx).map_err(failed("watch the network interface"))
    }

    fn stop_queue(&mut self, index: u16, cx: &mut Context<'_>) -> Option<QueueState> {
        let state = if is_transmit(index) {
            self.tx_blocked = false;
            self.tx.take().map(Transmitter::stop)
        } else {
            self.rx.take().map(|rx| rx.stop(&self.port))
        };
        self.watch_backend(cx);
        state
    }

    fn kicked(&mut self, index: u16, cx: &mut Context<'_>) {
        if is_transmit(index) {
            self.transmit(cx);
        } else {
            self.receive(cx);
        }
    }

    fn ready(&mut self, token: u32, events: EventSet, cx: &mut Context<'_>) {
        match token {
            BACKEND => {
                if self.tx_blocked && events.intersects(EventSet::OUT | EventSet::ERROR) {
                    self.tx_blocked = false;
                    self.transmit(cx);
                    self.watch_backend(cx);
                }
                // An error shows itself when reading.
                if events != EventSet::OUT {
                    self.sources.backend = true;
                    self.receive(cx);
                }
            }
            RX_TIMER => {
                disarm(&self.rx_timer);
                self.rx_throttled = false;
                self.receive(cx);
            }
            TX_TIMER => {
                disarm(&self.tx_timer);
                self.tx_throttled = false;
                self.transmit(cx);
            }
            _ => {
                disarm(&self.detour_timer);
                self.sources.detour = true;
                self.receive(cx);
            }
        }
    }
}

/// The backend's descriptor, for an event loop.
struct BackendFd(RawFd);

impl AsRawFd for BackendFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// Odd queues transmit (VIRTIO 1.3, 5.1.2).
fn is_transmit(index: u16) -> bool {
    index % 2 == 1
}

/// Whether the timer will come. A direction whose timer cannot be armed goes on at the next event.
fn arm(timer: &LimitTimer, wait: Wait) -> bool {
    timer.arm(wait).inspect_err(|e| error!("failed to arm a timer: {e}")).is_ok()
}

fn disarm(timer: &LimitTimer) {
    if let Err(e) = timer.disarm() {
        error!("failed to disarm a timer: {e}");
    }
}
