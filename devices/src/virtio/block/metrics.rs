//! What is counted for a block device, all its queues together.

use crate::metrics::Counter;

/// Counters of a block device.
#[derive(Debug, Default)]
pub struct BlockMetrics {
    /// Reads that succeeded.
    pub reads: Counter,
    /// Writes that succeeded.
    pub writes: Counter,
    /// Flushes that succeeded.
    pub flushes: Counter,
    /// Discards that succeeded.
    pub discards: Counter,
    /// Write-zeroes requests that succeeded.
    pub write_zeroes: Counter,
    /// Bytes of the reads that succeeded.
    pub read_bytes: Counter,
    /// Bytes of the writes that succeeded.
    pub write_bytes: Counter,
    /// Requests that the guest got wrong: past the end, of an unknown type and so on.
    pub invalid: Counter,
    /// Requests that the host failed.
    pub failed: Counter,
    /// Times that a limit made a queue wait.
    pub throttled: Counter,
    /// Submissions to io_uring that had to be tried again.
    pub resubmissions: Counter,
    /// Times that the disk, its size or its limits were changed.
    pub updates: Counter,
    /// Changes that failed.
    pub failed_updates: Counter,
}
