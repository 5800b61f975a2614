//! The board: every device of a machine on its buses, and the ACPI tables that tell of them.
//!
//! ```text
//!  vm_spec::Machine ──► Opened ──► assemble ──► Board          (machine::Board: buses, tables)
//!                       files,     devices on        └► DeviceSet  (what the API works on)
//!                       taps       the foundation
//! ```
//!
//! All that is opened by path is in [`Opened`] before a machine is built; nothing here opens a
//! path.

mod assemble;
mod device_set;
mod inherited;
mod legacy;
mod loops;
mod opened;
mod places;
mod virtio;

pub use assemble::{BoardError, BoardParams, assemble};
pub use device_set::{DeviceSet, QueueCounters};
pub use inherited::inherited;
pub use loops::Loops;
pub use opened::Opened;
pub use virtio::{limiter_update, pages};
