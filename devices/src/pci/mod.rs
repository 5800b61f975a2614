//! PCI: configuration space, MSI-X and the root of one bus.

pub mod config_space;
pub mod msix;
pub mod root;

pub use config_space::{Bar, ConfigSpace, Identity};
pub use msix::Msix;
pub use root::{PciFunction, PciRoot, Slot};
