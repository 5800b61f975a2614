//! Interrupts as devices see them.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

/// A global system interrupt: an input of the interrupt controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gsi(pub u32);

/// An edge-triggered interrupt line.
pub trait IrqLine: Send + Sync {
    /// Raises one edge.
    fn trigger(&self) -> io::Result<()>;
}

/// Where a message-signalled interrupt is delivered (PCI 3.0, section 6.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MsiMessage {
    /// Message address.
    pub address: u64,
    /// Message data.
    pub data: u32,
}

/// One message-signalled interrupt. Masking is done by the PCI function.
pub trait MsiVector: Send + Sync {
    /// Sets where later triggers are delivered. May be deferred to the next trigger, so that
    /// several vectors cost one update of the routing table.
    fn route(&self, message: MsiMessage) -> io::Result<()>;

    /// Delivers the interrupt.
    fn trigger(&self) -> io::Result<()>;

    /// The eventfd behind [`trigger`](Self::trigger), for signallers outside of this process.
    fn event(&self) -> &EventFd;
}

/// Makes message-signalled interrupts.
pub trait MsiSource: Send + Sync {
    /// Allocates `count` vectors; they are given back when the last reference goes.
    fn allocate(&self, count: u16) -> io::Result<Vec<Arc<dyn MsiVector>>>;
}
