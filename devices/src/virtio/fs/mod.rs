//! The file system device (VIRTIO 1.3, 5.11): a folder of the host in the guest.
//!
//! The requests are FUSE's; [`crate::fs`] serves them. All queues of a device are served by one
//! handler, one request after the other, on a loop of the device's own, since the host's files may
//! keep it waiting. There is neither a notification queue nor shared memory (DAX).

mod config;
mod device;
mod handler;

pub use config::{FsConfig, TAG_LEN};
pub use device::{Fs, NewFsError};
pub use handler::FsHandler;

#[cfg(test)]
mod tests;
