//! Guest physical memory: where it is, how it is allocated, and how KVM learns of it.

mod advice;
pub mod allocate;
pub mod layout;
pub mod slots;

pub use allocate::{AllocateError, Backing, Pages, allocate, populate};
pub use devices::memory::GuestRam;
pub use layout::{AddressSpace, LayoutError};
