//! What the server counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::Status;
use crate::metrics::MetricFamily;

/// Counts of requests and connections.
#[derive(Debug, Default)]
pub(super) struct Counters {
    done: AtomicU64,
    refused: AtomicU64,
    connections: AtomicU64,
}

impl Counters {
    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, status: Status) {
        let counter = if status.is_fault() { &self.refused } else { &self.done };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn families(&self) -> [MetricFamily; 2] {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            MetricFamily::counter("bulkhead_api_requests_total", "API requests by outcome")
                .with(vec![("outcome", "done".into())], get(&self.done))
                .with(vec![("outcome", "refused".into())], get(&self.refused)),
            MetricFamily::counter("bulkhead_api_connections_total", "API connections accepted")
                .with(vec![], get(&self.connections)),
        ]
    }
}
