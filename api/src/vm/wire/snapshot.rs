//! `/snapshot/create` and `/snapshot/load`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// Where a snapshot goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SnapshotCreateParams {
    /// All memory or what changed.
    #[serde(default)]
    pub snapshot_type: SnapshotType,
    /// Host path for the state.
    pub snapshot_path: String,
    /// Host path for the memory.
    pub mem_file_path: String,
}

/// All memory or what changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum SnapshotType {
    /// What changed since the last one.
    Diff,
    /// All of it.
    #[default]
    Full,
}

/// Where a snapshot comes from. Exactly one of `mem_backend` and `mem_file_path` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SnapshotLoadParams {
    /// Host path of the state.
    pub snapshot_path: String,
    /// Deprecated: host path of the memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_file_path: Option<String>,
    /// Where the memory comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_backend: Option<MemoryBackend>,
    /// Deprecated: the same as `track_dirty_pages`.
    #[serde(default)]
    pub enable_diff_snapshots: bool,
    /// Whether written pages are noted.
    #[serde(default)]
    pub track_dirty_pages: bool,
    /// Whether the guest runs at once.
    #[serde(default)]
    pub resume_vm: bool,
    /// Other tap interfaces.
    #[serde(default)]
    pub network_overrides: Vec<NetworkOverride>,
    /// Another vsock path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsock_override: Option<VsockOverride>,
    /// Whether the guest's clock is advanced by the time that has passed.
    #[serde(default)]
    pub clock_realtime: bool,
    /// Pages under guest memory.
    #[serde(default)]
    pub huge_pages: SnapshotHugePages,
}

/// Where a snapshot's memory comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MemoryBackend {
    /// Host path of the file or of the handler's socket.
    pub backend_path: String,
    /// Which of both it is.
    pub backend_type: MemoryBackendType,
}

/// What a snapshot's memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum MemoryBackendType {
    /// A file.
    File,
    /// A process that handles page faults.
    Uffd,
}

/// Another tap interface for a network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct NetworkOverride {
    /// Id of the interface.
    pub iface_id: String,
    /// Name of the host's tap interface.
    pub host_dev_name: String,
}

/// Another path for the vsock device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct VsockOverride {
    /// Host path of the socket.
    pub uds_path: String,
}

/// Pages under a restored guest's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum SnapshotHugePages {
    /// As they were.
    #[default]
    Snapshot,
    /// The host's default pages.
    None,
    /// Transparent huge pages.
    Transparent,
    /// Reserved pages of 2 MiB.
    #[serde(rename = "2M")]
    Hugetlbfs2M,
}

only_objects!(
    SnapshotCreateParams,
    SnapshotLoadParams,
    MemoryBackend,
    NetworkOverride,
    VsockOverride
);
