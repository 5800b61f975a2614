//! Transports: how the driver finds a device and sets up its queues (VIRTIO 1.3, section 4).
//!
//! Status, features and the life of queues are in [`core`], once; [`pci`] and [`mmio`] decode
//! registers.

pub mod core;
pub mod mmio;
pub mod pci;
mod pci_common;
mod shared;

pub use self::core::{Core, DoorbellPlan};
pub use mmio::MmioTransport;
pub use pci::PciTransport;

#[cfg(test)]
mod testing;
