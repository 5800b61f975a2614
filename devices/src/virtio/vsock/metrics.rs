//! What is counted for a socket device, beside its queues.

use crate::metrics::Counter;

/// Counters of one device.
#[derive(Debug, Default)]
pub struct VsockMetrics {
    /// Connections that host programs opened to the guest's ports.
    pub from_host: Counter,
    /// Connections that the guest opened to host programs.
    pub from_guest: Counter,
    /// Attempts of either side that failed or were refused.
    pub refused: Counter,
    /// Sockets of host programs closed. What was accepted or connected and is not closed is open.
    pub closed: Counter,
    /// Reset packets sent to the guest.
    pub resets: Counter,
    /// Packets that broke the protocol.
    pub violations: Counter,
    /// Times that a connection waited for the guest to make room.
    pub credit_stalls: Counter,
    /// Times that a host program's socket was full.
    pub socket_full: Counter,
    /// Connections ended because somebody took too long.
    pub timeouts: Counter,
}
