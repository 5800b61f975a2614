//! What is counted for the metadata service.

use crate::metrics::Counter;

/// Counters of one service.
#[derive(Debug, Default)]
pub struct MmdsMetrics {
    /// Frames from guests.
    pub rx_frames: Counter,
    /// Frames from guests that made no sense.
    pub rx_bad_frames: Counter,
    /// Requests without a token.
    pub rx_no_token: Counter,
    /// Requests whose token was worth nothing.
    pub rx_invalid_token: Counter,
    /// Frames to guests.
    pub tx_frames: Counter,
    /// Bytes of them.
    pub tx_bytes: Counter,
    /// Requests answered.
    pub requests: Counter,
    /// Requests answered with an error.
    pub request_errors: Counter,
    /// TCP connections accepted.
    pub connections_created: Counter,
    /// TCP connections that ended.
    pub connections_destroyed: Counter,
}
