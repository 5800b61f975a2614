//! Disks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{default_queue_size, is_default, one_queue};
use crate::{ComponentId, RateLimiter, Slot};

/// A virtio-blk device (VIRTIO 1.3 §5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSpec {
    /// The component that holds the data.
    pub backend: ComponentId,
    /// Where it is plugged in. Default: the first free slot, root disk first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Whether the guest mounts it as `/`; at most one disk can be. Default: no.
    #[serde(default)]
    pub root: bool,
    /// Partition of the root disk to mount, by its UUID. Default: the whole disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partuuid: Option<String>,
    /// Whether the guest cannot write. Default: it can.
    #[serde(default)]
    pub read_only: bool,
    /// What the guest reads as the serial number, at most 20 bytes of ASCII. Default: the id's
    /// first 20 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Request queues, 1 to 16. Default: 1.
    #[serde(default = "one_queue")]
    pub queues: u16,
    /// Descriptors of a queue: a power of two, 2 to 1024. Default: 256.
    #[serde(default = "default_queue_size")]
    pub queue_size: u16,
    /// What a completed write promises. Default: unsafe.
    #[serde(default)]
    pub cache: CacheMode,
    /// Whether discard and write-zeroes requests reach the backend. Default: no.
    #[serde(default)]
    pub discard: bool,
    /// Logical block in bytes: 512 or 4096. Default: 512.
    #[serde(default = "default_block_size")]
    pub block_size: u32,
    /// Physical block in bytes: a power of two from the logical block to 65536. Default: the
    /// logical block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_block_size: Option<u32>,
    /// Limits on requests. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_limiter: RateLimiter,
}

impl DiskSpec {
    /// A writable disk over `backend` with every default.
    pub fn new(backend: ComponentId) -> Self {
        Self {
            backend,
            slot: None,
            root: false,
            partuuid: None,
            read_only: false,
            serial: None,
            queues: one_queue(),
            queue_size: default_queue_size(),
            cache: CacheMode::default(),
            discard: false,
            block_size: default_block_size(),
            physical_block_size: None,
            rate_limiter: RateLimiter::default(),
        }
    }
}

fn default_block_size() -> u32 {
    512
}

/// What the guest is told about the host's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// No flush is offered: what the guest writes may be lost when the host fails.
    #[default]
    Unsafe,
    /// Flush requests reach the disk (`fdatasync`).
    Writeback,
}

/// A file or block device of the host as a disk's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFileSpec {
    /// Host path.
    pub path: PathBuf,
    /// What the file holds. Default: raw.
    #[serde(default)]
    pub format: DiskFormat,
    /// How it is read and written. Default: sync.
    #[serde(default)]
    pub engine: DiskEngine,
}

/// What a disk file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The disk's bytes as they are.
    #[default]
    Raw,
}

/// How a disk file is read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskEngine {
    /// `preadv` and `pwritev`.
    #[default]
    Sync,
    /// io_uring, or `sync` where the host forbids it.
    Async,
}

/// Several files of the host as one read-only disk: a GUID partition table with a partition for
/// each, in their order, numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskCompositeSpec {
    /// Host paths, 1 to 128. Files of other disks may be among them, if those are read-only too.
    pub parts: Vec<PathBuf>,
}
