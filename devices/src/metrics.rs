//! Counters that are cheap enough to be always on: one relaxed atomic addition each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The value so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the latency buckets are powers of two from 1 us to about 8.4 s, and infinity.
const BUCKETS: usize = 25;

/// A latency histogram with power-of-two buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Records one observation.
    pub fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - us.saturating_sub(1).leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// A consistent-enough copy of what was recorded.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.buckets.each_ref().map(|b| b.load(Ordering::Relaxed));
        let buckets = counts
            .iter()
            .enumerate()
            .map(|(i, n)| ((i + 1 < BUCKETS).then(|| 1u64 << i), *n))
            .collect();
        HistogramSnapshot {
            buckets,
            count: counts.iter().sum(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

/// What a [`Histogram`] held at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistogramSnapshot {
    /// For each bucket its upper bound in microseconds, inclusive (`None`: infinity), and how many
    /// observations it holds by itself (not cumulative).
    pub buckets: Vec<(Option<u64>, u64)>,
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations in microseconds.
    pub sum_us: u64,
}

/// What is counted for each virtqueue.
#[derive(Debug, Default)]
pub struct QueueMetrics {
    /// Notifications from the driver that reached the device.
    pub kicks: Counter,
    /// Interrupts raised.
    pub interrupts: Counter,
    /// Interrupts that the driver's event index or flags made unnecessary.
    pub interrupts_suppressed: Counter,
    /// Descriptor chains served and given back.
    pub requests: Counter,
    /// Chains that broke the rules of the specification and were dropped.
    pub malformed: Counter,
    /// Requests that failed.
    pub errors: Counter,
    /// Bytes read by the device from guest memory.
    pub bytes_from_guest: Counter,
    /// Bytes written by the device to guest memory.
    pub bytes_to_guest: Counter,
    /// Times that a rate limit made the queue wait.
    pub throttled: Counter,
    /// Time from a request's being taken, or from the start of its burst, to its completion.
    pub latency: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observation_lands_in_the_bucket_that_bounds_it() {
        let histogram = Histogram::default();
        for us in [0, 1, 2, 3, 4, 5, u64::MAX / 2] {
            histogram.record(Duration::from_micros(us));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets[..4], [(Some(1), 2), (Some(2), 1), (Some(4), 2), (Some(8), 1)]);
        assert_eq!(snapshot.buckets.last(), Some(&(None, 1)));
        assert_eq!(snapshot.count, 7);
    }
}
