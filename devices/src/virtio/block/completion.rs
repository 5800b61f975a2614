//! Answers: the status byte, the used ring and the counters.

use std::io;

use log::warn;

use super::engine::Flight;
use super::metrics::BlockMetrics;
use super::request::{Kind, Refused, Reply, Status, Tally};
use super::shared::Shared;
use crate::virtio::{Chain, Queue, QueueState};

/// A queue in service, and whether the driver has yet to hear of completions.
#[derive(Debug)]
pub(super) struct Service {
    queue: Queue,
    unsignalled: bool,
}

impl Service {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue, unsignalled: false }
    }

    pub(super) fn index(&self) -> u16 {
        self.queue.index()
    }

    pub(super) fn state(&self) -> QueueState {
        self.queue.state()
    }

    pub(super) fn next(&mut self) -> Option<Chain> {
        self.queue.next()
    }

    /// See [`Queue::put_back`].
    pub(super) fn put_back(&mut self) {
        self.queue.put_back();
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> u16 {
        self.queue.waiting()
    }

    pub(super) fn count_throttled(&self) {
        self.queue.metrics().throttled.increment();
    }

    /// Tells the driver of completions, if there are any that it does not know.
    pub(super) fn signal(&mut self) {
        if std::mem::take(&mut self.unsignalled) {
            self.queue.signal();
        }
    }

    /// Answers a request that was done, or that the host failed.
    pub(super) fn finish(&mut self, flight: Flight, result: io::Result<()>, shared: &Shared) {
        let Flight { request, started } = flight;
        let metrics = self.queue.metrics();
        metrics.latency.record(started.elapsed());
        let (status, filled) = match result {
            Ok(()) => {
                count(&shared.metrics, request.tally);
                match request.tally.kind {
                    Kind::Read => metrics.bytes_to_guest.add(request.tally.bytes),
                    _ => metrics.bytes_from_guest.add(request.tally.bytes),
                }
                (Status::Ok, request.tally.filled)
            }
            Err(error) => {
                metrics.errors.increment();
                warn_failed(&shared.metrics, request.tally.kind, &error);
                (Status::IoError, 0)
            }
        };
        self.answer(&request.reply, status, filled);
    }

    /// Answers a request that breaks the rules.
    pub(super) fn refuse(&mut self, refused: &Refused, shared: &Shared) {
        self.queue.metrics().errors.increment();
        shared.metrics.invalid.increment();
        self.answer(&refused.reply, refused.status, 0);
    }

    fn answer(&mut self, reply: &Reply, status: Status, filled: u32) {
        let told = reply.status.as_ref().is_some_and(|s| s.copy_from(&[status as u8]).is_ok());
        let used = if told { reply.used_len(filled) } else { 0 };
        self.queue.complete(reply.head, used);
        self.unsignalled = true;
    }
}

fn count(metrics: &BlockMetrics, tally: Tally) {
    match tally.kind {
        Kind::Read => {
            metrics.reads.increment();
            metrics.read_bytes.add(tally.bytes);
        }
        Kind::Write => {
            metrics.writes.increment();
            metrics.write_bytes.add(tally.bytes);
        }
        Kind::Flush => metrics.flushes.increment(),
        Kind::Discard => metrics.discards.increment(),
        Kind::WriteZeroes => metrics.write_zeroes.increment(),
        Kind::GetId => {}
    }
}

/// Counts, and logs the first failure of each power of two: the guest decides how many there are.
fn warn_failed(metrics: &BlockMetrics, kind: Kind, error: &io::Error) {
    metrics.failed.increment();
    let failed = metrics.failed.get();
    if failed.is_power_of_two() {
        warn!("disk request {kind:?} failed: {error} (failures of this disk so far: {failed})");
    }
}
