//! The host's KVM: opening it, what it can do, and one VM's kernel side.

pub mod capabilities;
pub mod doorbell;
pub mod interrupt;
pub mod open;
pub mod routing;
pub mod vm;

pub use capabilities::{Capabilities, Capability};
pub use open::{Kvm, OpenKvmError};
pub use vm::{CreateVmError, Vm};
