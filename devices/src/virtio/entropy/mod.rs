//! The entropy device (VIRTIO 1.3 §5.4): hands random bytes of the host to the guest.
//!
//! It is the smallest device, and the one to read first:
//!
//! * [`Entropy`] is the front. A transport asks it who it is, and starts and stops its queue.
//! * [`EntropyHandler`] is the back. It owns the queue and runs on an event loop.
//! * `tests` drives the back with a fake driver, without a thread and without KVM.

mod device;
mod handler;

pub use device::{Entropy, EntropyConfig, EntropyError};
pub use handler::EntropyHandler;

#[cfg(test)]
mod tests;
