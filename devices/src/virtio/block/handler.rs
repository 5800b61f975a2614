//! The back of a block device: one queue of requests.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use log::warn;
use vmm_sys_util::epoll::EventSet;

use super::completion::Service;
use super::config::BlockConfig;
use super::engine::{Engine, Flight, execute};
use super::request::{Kind, Rules, parse};
use super::shared::Shared;
use crate::disk::Disk;
#[cfg(any(test, feature = "fake-driver"))]
use crate::rate_limiter::SharedLimiter;
use crate::rate_limiter::{LimitTimer, Wait};
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::{Queue, QueueState};

/// Requests taken in one call.
const BURST: usize = 256;
/// Bytes after which the driver hears of completions even though the burst goes on, so that it
/// can prepare the next requests meanwhile. With 256 KiB each large request had an interrupt of its
/// own, and reads and writes of 1 MiB over PCI were 11 to 44 % slower (`scripts/bench --rows block`).
const SIGNAL_BYTES: u64 = 4 << 20;

/// Token of the ring's event.
const RING: u32 = 0;
/// Token of the limit's timer.
const LIMIT: u32 = 1;

/// Serves one queue of a block device.
pub struct BlockHandler {
    service: Option<Service>,
    disk: Arc<dyn Disk>,
    engine: Engine,
    shared: Arc<Shared>,
    timer: LimitTimer,
    /// The request that waits for the limit: the one taken last.
    held: Option<Flight>,
    /// Requests may wait that the engine had no room for.
    starved: bool,
    watching: bool,
}

/// Why no further request was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// There is none; the driver will notify.
    Empty,
    /// The engine has no room.
    Full,
    /// Others shall have their turn.
    Burst,
    /// A limit applies.
    Limit(Wait),
}

impl BlockHandler {
    pub(super) fn new(
        config: &BlockConfig,
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let engine = Engine::new(config.engine, &*disk, config.queue_size);
        Ok(Self {
            service: None,
            disk,
            engine,
            shared,
            timer: LimitTimer::new()?,
            held: None,
            starved: false,
            watching: false,
        })
    }

    /// A handler without a front, for tests and fuzz targets to drive: all that `config` offers
    /// over `disk` counts as negotiated.
    #[cfg(any(test, feature = "fake-driver"))]
    pub fn alone(config: &BlockConfig, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let limiter = SharedLimiter::new(config.limits);
        let shared = Shared::new(config.serial, limiter);
        shared.set_features(config.features(&*disk));
        Self::new(config, disk, Arc::new(shared))
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Puts `disk` in the place of the old one, after what is in flight.
    pub(super) fn replace_disk(&mut self, disk: Arc<dyn Disk>, cx: &mut Context<'_>) {
        self.settle();
        if let Engine::Uring(ring) = &mut self.engine {
            let replaced = disk.file().map(|file| ring.replace_file(file));
            if !matches!(replaced, Some(Ok(()))) {
                warn!("io_uring does not take the new disk ({replaced:?}): I/O is now synchronous");
                if self.watching
                    && let Err(e) = cx.unwatch(ring.event())
                {
                    warn!("failed to stop watching io_uring: {e}");
                }
                self.engine = Engine::Sync;
            }
        }
        self.disk = disk;
        self.process(cx);
    }

    /// Judges what waits again, after the disk's size or the limits were changed.
    pub(super) fn reconsider(&mut self, cx: &mut Context<'_>) {
        self.put_back_held();
        self.process(cx);
    }

    #[cfg(test)]
    pub(super) fn uses_io_uring(&self) -> bool {
        matches!(self.engine, Engine::Uring(_))
    }

    /// Chains in the queue that were not taken yet.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Option<u16> {
        self.service.as_ref().map(Service::waiting)
    }

    /// Completes all that is in flight, and puts a held request back into the queue.
    fn settle(&mut self) {
        if let (Some(service), Engine::Uring(ring)) = (&mut self.service, &mut self.engine) {
            let (disk, shared) = (&*self.disk, &*self.shared);
            ring.drain(shared.write_through(), |flight, result| {
                conclude(service, flight, result, disk, shared);
            });
            service.signal();
        }
        self.put_back_held();
    }

    fn put_back_held(&mut self) {
        if let (Some(_), Some(service)) = (self.held.take(), &mut self.service) {
            service.put_back();
        }
    }

    /// Takes and serves requests.
    fn process(&mut self, cx: &mut Context<'_>) {
        let Some(index) = self.service.as_ref().map(Service::index) else { return };
        let pause = self.take_requests();
        let submitted = self.submit();
        self.signal();
        self.starved = pause == Pause::Full;
        match pause {
            Pause::Limit(wait) => self.wait_for_limit(wait),
            Pause::Burst => cx.kick_again(index),
            // The room came while submitting: no event will tell.
            Pause::Full if !self.is_full() => cx.kick_again(index),
            Pause::Full | Pause::Empty => {}
        }
        if !submitted {
            cx.kick_again(index);
        }
    }

    fn take_requests(&mut self) -> Pause {
        let mut unsignalled = 0;
        let started = Instant::now();
        let rules = Rules {
            features: self.shared.features(),
            read_only: self.disk.is_read_only(),
            size: self.disk.size(),
        };
        for _ in 0..BURST {
            if self.is_full() {
                return Pause::Full;
            }
            let flight = match (self.held.take(), &mut self.service) {
                (Some(held), _) => held,
                (None, Some(service)) => match service.next().map(|c| parse(c, &rules)) {
                    None => return Pause::Empty,
                    Some(Ok(request)) => Flight { request, started },
                    Some(Err(refused)) => {
                        service.refuse(&refused, &self.shared);
                        continue;
                    }
                },
                (None, None) => return Pause::Empty,
            };
            let bytes = flight.request.tally.bytes;
            if let Err(wait) = self.shared.limiter.consume(1, bytes) {
                self.held = Some(flight);
                return Pause::Limit(wait);
            }
            self.start(flight);
            unsignalled += bytes;
            if unsignalled >= SIGNAL_BYTES {
                unsignalled = 0;
                self.submit();
                self.signal();
            }
        }
        Pause::Burst
    }

    /// Gives a request to the engine.
    fn start(&mut self, flight: Flight) {
        let durable = self.shared.write_through();
        let mut flight = match &mut self.engine {
            Engine::Uring(ring) if ring.accepts(&flight.request.work, durable) => {
                match ring.push(flight, durable) {
                    None => return,
                    Some(flight) => flight,
                }
            }
            Engine::Uring(_) | Engine::Sync => flight,
        };
        let result = execute(&mut flight.request.work, &*self.disk, &self.shared);
        if let Some(service) = &mut self.service {
            service.finish(flight, result, &self.shared);
        }
    }

    /// Submits to the ring and takes what completed; false if that must be tried again.
    fn submit(&mut self) -> bool {
        let (Some(service), Engine::Uring(ring)) = (&mut self.service, &mut self.engine) else {
            return true;
        };
        let (disk, shared) = (&*self.disk, &*self.shared);
        loop {
            let submitted = ring.submit();
            let resumed = ring.reap(shared.write_through(), |flight, result| {
                conclude(service, flight, result, disk, shared);
            });
            match submitted {
                Ok(()) if resumed || !ring.arm() => {}
                Ok(()) => return true,
                Err(error) => {
                    shared.metrics.resubmissions.increment();
                    let so_far = shared.metrics.resubmissions.get();
                    if so_far.is_power_of_two() {
                        warn!("failed to submit disk requests: {error} (so far: {so_far})");
                    }
                    return false;
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        matches!(&self.engine, Engine::Uring(ring) if ring.is_full())
    }

    fn signal(&mut self) {
        if let Some(service) = &mut self.service {
            service.signal();
        }
    }

    fn wait_for_limit(&mut self, wait: Wait) {
        self.shared.metrics.throttled.increment();
        if let Some(service) = &self.service {
            service.count_throttled();
        }
        if let Err(e) = self.timer.arm(wait) {
            warn!("failed to arm the timer of a disk's limit: {e}");
        }
    }

    fn watch(&mut self, cx: &mut Context<'_>) -> Result<(), (&'static str, io::Error)> {
        if let Engine::Uring(ring) = &mut self.engine {
            ring.enable().map_err(|e| ("enable io_uring", e))?;
        }
        if self.watching {
            return Ok(());
        }
        cx.watch(&self.timer, LIMIT, EventSet::IN | EventSet::EDGE_TRIGGERED)
            .map_err(|e| ("watch the limit's timer", e))?;
        if let Engine::Uring(ring) = &self.engine
            && let Err(e) = cx.watch(ring.event(), RING, EventSet::IN | EventSet::EDGE_TRIGGERED)
        {
            let _ = cx.unwatch(&self.timer);
            return Err(("watch io_uring", e));
        }
        self.watching = true;
        Ok(())
    }
}

impl Handler for BlockHandler {
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        let index = queue.index();
        self.watch(cx).map_err(|(operation, source)| StartQueueError::Host {
            operation,
            index,
            source,
        })?;
        self.service = Some(Service::new(queue));
        Ok(())
    }

    fn stop_queue(&mut self, index: u16, _cx: &mut Context<'_>) -> Option<QueueState> {
        if self.service.as_ref()?.index() != index {
            return None;
        }
        self.settle();
        if let Err(e) = self.timer.disarm() {
            warn!("failed to disarm the timer of a disk's limit: {e}");
        }
        self.service.take().map(|s| s.state())
    }

    fn kicked(&mut self, _index: u16, cx: &mut Context<'_>) {
        self.process(cx);
    }

    fn ready(&mut self, token: u32, _events: EventSet, cx: &mut Context<'_>) {
        let Some(index) = self.service.as_ref().map(Service::index) else { return };
        if token == LIMIT || self.starved {
            return self.process(cx);
        }
        let submitted = self.submit();
        self.signal();
        if !submitted {
            cx.kick_again(index);
        }
    }
}

/// Answers a request that went through the ring; what the file system cannot do in one call is
/// done in the longer way.
fn conclude(
    service: &mut Service,
    mut flight: Flight,
    mut result: io::Result<()>,
    disk: &dyn Disk,
    shared: &Shared,
) {
    let unsupported = |e: &io::Error| e.raw_os_error() == Some(libc::EOPNOTSUPP);
    if matches!(flight.request.tally.kind, Kind::Discard | Kind::WriteZeroes)
        && result.as_ref().is_err_and(unsupported)
    {
        result = execute(&mut flight.request.work, disk, shared);
    }
    service.finish(flight, result, shared);
}
