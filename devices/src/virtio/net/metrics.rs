//! What is counted for a network card, beside the counters of its queues.

use crate::metrics::Counter;

/// Counters of one card, all queue pairs together.
#[derive(Debug, Default)]
pub struct NetMetrics {
    /// Frames that reached the guest.
    pub rx_frames: Counter,
    /// Frames from the backend that the guest's receive filter turned away.
    pub rx_filtered: Counter,
    /// Frames from the backend that were too short for their header, or too long for the guest's
    /// buffers.
    pub rx_dropped: Counter,
    /// Reads from the backend that failed.
    pub rx_errors: Counter,
    /// Frames that the backend took.
    pub tx_frames: Counter,
    /// Frames from the guest whose shape or header made no sense.
    pub tx_malformed: Counter,
    /// Frames from the guest that the backend refused, or that came while the link was down.
    pub tx_dropped: Counter,
    /// Frames from the guest that the detour took.
    pub detour_taken: Counter,
    /// Frames from the detour to the guest.
    pub detour_given: Counter,
    /// Times that the backend went for good, or until it was connected again.
    pub backend_lost: Counter,
    /// Commands of the control queue that were refused.
    pub control_errors: Counter,
}
