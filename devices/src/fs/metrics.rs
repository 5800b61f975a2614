//! What is counted for a share.

use std::time::Duration;

use super::protocol::Opcode;
use crate::metrics::{Counter, Histogram};

/// Counters of one operation.
#[derive(Debug, Default)]
pub struct OperationMetrics {
    /// Requests that failed. Many do in ordinary use: a name that is not there, say.
    pub failed: Counter,
    /// The time that requests took; their number is in it.
    pub latency: Histogram,
}

/// Counters of a share.
#[derive(Debug)]
pub struct FsMetrics {
    operations: Vec<OperationMetrics>,
    /// Bytes read from files.
    pub read_bytes: Counter,
    /// Bytes written to files.
    pub written_bytes: Counter,
    /// Requests that could not even be answered.
    pub malformed: Counter,
}

impl Default for FsMetrics {
    fn default() -> Self {
        Self {
            operations: Opcode::ALL.iter().map(|_| OperationMetrics::default()).collect(),
            read_bytes: Counter::new(),
            written_bytes: Counter::new(),
            malformed: Counter::new(),
        }
    }
}

impl FsMetrics {
    /// Each operation's counters.
    pub fn operations(&self) -> impl Iterator<Item = (Opcode, &OperationMetrics)> {
        Opcode::ALL.iter().copied().zip(&self.operations)
    }

    pub(super) fn count(&self, opcode: Opcode, latency: Duration, failed: bool) {
        let found = self.operations().find(|(other, _)| *other == opcode);
        if let Some((_, operation)) = found {
            operation.latency.record(latency);
            if failed {
                operation.failed.increment();
            }
        }
    }
}
