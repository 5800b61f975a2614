//! Counts of a vCPU's exits to user space, by reason.

use devices::metrics::Counter;

/// One vCPU's exits. Only its own thread counts; anybody may read.
#[derive(Debug, Default)]
pub struct Exits {
    /// Reads from ports.
    pub port_in: Counter,
    /// Writes to ports.
    pub port_out: Counter,
    /// Reads from memory-mapped registers.
    pub mmio_read: Counter,
    /// Writes to memory-mapped registers.
    pub mmio_write: Counter,
    /// Interrupted by a signal: kicks.
    pub interrupted: Counter,
    /// All others.
    pub other: Counter,
}

impl Exits {
    /// Names and values, for metrics.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("port_in", self.port_in.get()),
            ("port_out", self.port_out.get()),
            ("mmio_read", self.mmio_read.get()),
            ("mmio_write", self.mmio_write.get()),
            ("interrupted", self.interrupted.get()),
            ("other", self.other.get()),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }
}
