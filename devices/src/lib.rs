//! Guest-visible hardware: buses, interrupts, PCI, virtio transports and devices, and their
//! backends.
//!
//! Nothing here knows KVM, HTTP or an asynchronous runtime. What the hypervisor provides comes in
//! through four small traits: [`interrupt::IrqLine`], [`interrupt::MsiVector`] (with
//! [`interrupt::MsiSource`] to make them), [`doorbell::Doorbells`] and the memory alias
//! [`memory::Memory`].

pub mod bus;
pub mod char;
pub mod disk;
pub mod doorbell;
pub mod fs;
pub mod interrupt;
pub mod legacy;
pub mod memory;
pub mod metrics;
pub mod mmds;
pub mod net;
pub mod occurrences;
pub mod pci;
pub mod rate_limiter;
pub mod virtio;
pub mod vsock;
