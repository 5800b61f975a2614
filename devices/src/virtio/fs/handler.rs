//! The back of the device: takes requests from its queues and has them served.

use std::sync::Arc;
use std::time::Instant;

use crate::fs::{FsMetrics, Served, Server, Share};
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::{Queue, QueueState};

/// Requests served before other queues get their turn.
const BURST: usize = 64;
/// Bytes after which the driver hears of completions even though the burst goes on.
const SIGNAL_BYTES: usize = 256 << 10;

/// Serves the queues of a file system device.
pub struct FsHandler {
    server: Server,
    /// By their indices; `None` where one is not in service.
    queues: Vec<Option<Queue>>,
}

impl FsHandler {
    /// A handler for so many queues over `share`, that knows at most `node_limit` files at a time.
    pub fn new(share: Share, queues: usize, node_limit: usize) -> Self {
        let server = Server::new(share, node_limit);
        Self { server, queues: (0..queues).map(|_| None).collect() }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<FsMetrics> {
        self.server.metrics()
    }

    /// Forgets what the guest had looked up and opened.
    pub(super) fn reset(&mut self) {
        self.server.reset();
    }

    fn process(&mut self, index: u16, cx: &mut Context<'_>) {
        let Some(Some(queue)) = self.queues.get_mut(usize::from(index)) else { return };
        let mut unsignalled = 0;
        for _ in 0..BURST {
            let Some(chain) = queue.next() else { return queue.signal() };
            let started = Instant::now();
            let asked = chain.readable.len();
            let written = match self.server.serve(chain.readable, chain.writable) {
                Served::Answered(written) => written,
                Served::Malformed => {
                    queue.metrics().errors.increment();
                    0
                }
            };
            queue.complete(chain.head, written);
            let metrics = queue.metrics();
            metrics.latency.record(started.elapsed());
            metrics.bytes_from_guest.add(asked as u64);
            metrics.bytes_to_guest.add(written.into());
            unsignalled += asked + written as usize;
            if unsignalled >= SIGNAL_BYTES {
                unsignalled = 0;
                queue.signal();
            }
        }
        queue.signal();
        cx.kick_again(index);
    }
}

impl Handler for FsHandler {
    fn start_queue(&mut self, queue: Queue, _: &mut Context<'_>) -> Result<(), StartQueueError> {
        let index = queue.index();
        match self.queues.get_mut(usize::from(index)) {
            Some(place) => *place = Some(queue),
            None => return Err(StartQueueError::EventLoopGone { index }),
        }
        Ok(())
    }

    fn stop_queue(&mut self, index: u16, _: &mut Context<'_>) -> Option<QueueState> {
        // Each request is finished within the call that took it, so nothing is in flight.
        let queue = self.queues.get_mut(usize::from(index))?.take()?;
        Some(queue.state())
    }

    fn kicked(&mut self, index: u16, cx: &mut Context<'_>) {
        self.process(index, cx);
    }
}
