//! Folders of the host in the guest.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::one_queue;
use crate::{ComponentId, Slot};

/// A virtio-fs device (VIRTIO 1.3 §5.11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsSpec {
    /// The component that holds the files.
    pub backend: ComponentId,
    /// What the guest mounts it by: 1 to 36 bytes, without a NUL; no other share has it.
    pub tag: String,
    /// Where it is plugged in. Default: the first free slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Request queues, 1 to 16. Default: 1.
    #[serde(default = "one_queue")]
    pub queues: u16,
    /// Descriptors of a queue: a power of two, 16 to 1024. It bounds how much a guest reads or
    /// writes at a time, in pages. Default: 512.
    #[serde(default = "default_fs_queue_size")]
    pub queue_size: u16,
}

impl FsSpec {
    /// A share of `backend` under `tag` with every default.
    pub fn new(backend: ComponentId, tag: impl Into<String>) -> Self {
        let queue_size = default_fs_queue_size();
        Self { backend, tag: tag.into(), slot: None, queues: one_queue(), queue_size }
    }
}

fn default_fs_queue_size() -> u16 {
    512
}

/// A folder of the host, or a single file of it, as a share's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFolderSpec {
    /// Host path. Of a folder the guest gets what is in it; of a file, a folder that holds this
    /// file alone, under its own name.
    pub path: PathBuf,
    /// Whether the guest cannot change anything. Default: it can.
    #[serde(default)]
    pub read_only: bool,
    /// What the guest may keep. Default: auto.
    #[serde(default)]
    pub cache: FsCache,
}

/// How long a guest may go without asking the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FsCache {
    /// Not at all: each read and each look at a file reaches the host, and shared writable
    /// mappings are not possible.
    None,
    /// Names and attributes, a file's length among them, for a tenth of a second; content until
    /// the file is opened again or is seen to have changed. What was written is at the host when the call returns. For folders that
    /// others change too.
    #[default]
    Auto,
    /// Everything, for good. For folders that nobody else changes.
    Always,
}
