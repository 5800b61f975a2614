//! Configuration space and feature bits (VIRTIO 1.3, 5.10.3 and 5.10.4), and what the user sets.

use std::time::Duration;

use crate::virtio::device::read_config_bytes;

use super::packet::HOST_CID;

/// Stream sockets are offered (VIRTIO 1.3, 5.10.3).
pub(super) const VIRTIO_VSOCK_F_STREAM: u32 = 0;
/// Queue for packets to the guest.
pub(super) const RX: u16 = 0;
/// Queue for packets of the guest.
pub(super) const TX: u16 = 1;
/// Queue for events.
pub(super) const EVENT: u16 = 2;
/// Size of each queue in descriptors.
pub(super) const QUEUE_SIZES: [u16; 3] = [256, 256, 256];

/// What the device is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VsockConfig {
    /// The guest's context id: 3 to 2^32 - 2.
    pub guest_cid: u64,
    /// Connections at a time, those that are being made or ended included.
    pub max_connections: usize,
    /// How long the other sides may take.
    pub timeouts: Timeouts,
}

impl VsockConfig {
    /// The usual settings for `guest_cid`.
    pub fn new(guest_cid: u64) -> Self {
        Self { guest_cid, max_connections: 1024, timeouts: Timeouts::default() }
    }

    /// Whether the context id is one that a guest can have (VIRTIO 1.3, 5.10.4).
    pub(super) fn has_valid_cid(&self) -> bool {
        self.guest_cid > HOST_CID && self.guest_cid < u64::from(u32::MAX)
    }

    /// Reads the configuration space: `le64 guest_cid`.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(&self.guest_cid.to_le_bytes(), offset, data);
    }
}

/// How long the other sides may take. While the guest is paused no time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A host program, to say which port it wants.
    pub greeting: Duration,
    /// The guest, to accept a connection.
    pub request: Duration,
    /// The guest, to confirm that a connection is closed.
    pub close: Duration,
    /// A host program, to read some of what the guest sent before it closed.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(10),
            request: Duration::from_secs(5),
            close: Duration::from_secs(8),
            linger: Duration::from_secs(30),
        }
    }
}
