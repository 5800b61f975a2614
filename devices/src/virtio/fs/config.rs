//! Configuration space (VIRTIO 1.3, 5.11.4), and what the user sets. There are no feature bits.

use zerocopy::little_endian::U32;
use zerocopy::{Immutable, IntoBytes};

/// Bytes of a tag; a shorter one is padded with zeroes.
pub const TAG_LEN: usize = 36;
/// Queues before those for requests: the one for requests that must not wait behind others.
pub(super) const HIGH_PRIORITY_QUEUES: u16 = 1;

/// What a file system device is made of, besides its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsConfig {
    /// What the guest mounts it by: see [`TAG_LEN`].
    pub tag: [u8; TAG_LEN],
    /// Number of request queues, at least 1.
    pub queues: u16,
    /// Descriptors of each queue, a power of two.
    pub queue_size: u16,
}

impl FsConfig {
    /// The tag that `text` gives: its first bytes.
    pub fn tag_from(text: &str) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        for (to, from) in tag.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        tag
    }

    pub(super) fn queue_sizes(&self) -> Vec<u16> {
        vec![self.queue_size; usize::from(HIGH_PRIORITY_QUEUES) + usize::from(self.queues)]
    }
}

/// `struct virtio_fs_config`, without the field of notifications.
#[derive(Debug, Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct ConfigSpace {
    tag: [u8; TAG_LEN],
    num_request_queues: U32,
}

impl ConfigSpace {
    pub(super) fn new(config: &FsConfig) -> Self {
        Self { tag: config.tag, num_request_queues: U32::new(config.queues.into()) }
    }
}
