//! The back of the entropy device: fills the guest's buffers.

use std::io;
use std::time::Instant;

use log::error;
use vmm_sys_util::epoll::EventSet;

use crate::rate_limiter::{LimitTimer, LimiterUpdate, RateLimiter};
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::queue::{Chain, Queue, QueueState};

/// The one queue (VIRTIO 1.3 §5.4.2).
const REQUESTS: u16 = 0;
/// The token under which the limiter's timer is watched.
const TIMER: u32 = 0;
/// Bytes that one request gets at most. The device may fill less than the buffer (§5.4.6.2), and a
/// guest must not keep the host busy with one descriptor.
pub(super) const MAX_REQUEST: usize = 64 << 10;
/// Requests served before others on the loop get their turn.
pub(super) const BURST_REQUESTS: usize = 256;
/// Bytes after which they do: about 2 ms of the host's generator.
const BURST_BYTES: usize = 1 << 20;

/// Serves the queue of an entropy device.
pub struct EntropyHandler {
    queue: Option<Queue>,
    limiter: RateLimiter,
    timer: LimitTimer,
    /// The timer is running and the queue waits for it.
    throttled: bool,
}

impl EntropyHandler {
    /// A handler without a queue.
    pub fn new(limiter: RateLimiter) -> io::Result<Self> {
        Ok(Self { queue: None, limiter, timer: LimitTimer::new()?, throttled: false })
    }

    /// Changes the limits. Requests that wait for the old ones are tried again.
    pub fn update_limits(&mut self, update: LimiterUpdate, cx: &mut Context<'_>) {
        self.limiter.update(update, Instant::now());
        self.resume(cx);
    }

    fn serve(&mut self, cx: &mut Context<'_>) {
        let Some(queue) = &mut self.queue else { return };
        let mut bytes = 0;
        for _ in 0..BURST_REQUESTS {
            let Some(chain) = queue.next() else { return queue.signal() };
            let now = Instant::now();
            let wanted = chain.writable.len().min(MAX_REQUEST);
            if let Err(wait) = self.limiter.consume(1, wanted as u64, now) {
                queue.put_back();
                queue.metrics().throttled.increment();
                queue.signal();
                // Without its timer the limit cannot be kept, and the guest must not hang.
                self.throttled = self.timer.arm(wait).is_ok();
                if !self.throttled {
                    error!("entropy: failed to arm the limiter's timer");
                    self.limiter = RateLimiter::default();
                    cx.kick_again(REQUESTS);
                }
                return;
            }
            let written = fill(queue, &chain);
            // At most MAX_REQUEST.
            queue.complete(chain.head, written as u32);
            queue.metrics().latency.record(now.elapsed());
            bytes += written;
            if bytes >= BURST_BYTES {
                break;
            }
        }
        queue.signal();
        cx.kick_again(REQUESTS);
    }

    fn resume(&mut self, cx: &mut Context<'_>) {
        if self.throttled {
            self.end_wait();
            self.serve(cx);
        }
    }

    fn end_wait(&mut self) {
        self.throttled = false;
        if let Err(e) = self.timer.disarm() {
            error!("entropy: failed to disarm the limiter's timer: {e}");
        }
    }
}

/// Fills the chain's buffers and returns how many bytes it wrote. A request that cannot be served
/// gets none.
fn fill(queue: &Queue, chain: &Chain) -> usize {
    // The driver must not offer readable buffers, nor nothing at all (§5.4.6.1).
    if !chain.readable.is_empty() || chain.writable.is_empty() {
        queue.metrics().malformed.increment();
        return 0;
    }
    match chain.writable.fill_random(MAX_REQUEST) {
        Ok(written) => {
            queue.metrics().bytes_to_guest.add(written as u64);
            written
        }
        Err(_) => {
            queue.metrics().errors.increment();
            0
        }
    }
}

impl Handler for EntropyHandler {
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        cx.watch(&self.timer, TIMER, EventSet::IN).map_err(|source| StartQueueError::Host {
            operation: "watch the limiter's timer",
            index: queue.index(),
            source,
        })?;
        self.queue = Some(queue);
        Ok(())
    }

    fn stop_queue(&mut self, index: u16, cx: &mut Context<'_>) -> Option<QueueState> {
        if index != REQUESTS {
            return None;
        }
        // Each request is finished within the call that took it, so nothing is in flight.
        let queue = self.queue.take()?;
        self.end_wait();
        if let Err(e) = cx.unwatch(&self.timer) {
            error!("entropy: failed to stop watching the limiter's timer: {e}");
        }
        Some(queue.state())
    }

    fn kicked(&mut self, _: u16, cx: &mut Context<'_>) {
        if !self.throttled {
            self.serve(cx);
        }
    }

    fn ready(&mut self, _: u32, _: EventSet, cx: &mut Context<'_>) {
        self.resume(cx);
    }
}
