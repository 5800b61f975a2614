//! `/drives/{drive_id}`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

use super::RateLimiter;

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Drive {
    /// Its id, as in the path.
    #[cfg_attr(test, schema(pattern = "^[A-Za-z0-9_]{1,64}$"))]
    pub drive_id: String,
    /// UUID of the partition to boot from; only of the root device.
    pub partuuid: Option<String>,
    /// Whether the guest mounts it as `/`.
    pub is_root_device: bool,
    /// What the guest is told about the host's cache.
    #[serde(default)]
    pub cache_type: CacheType,
    /// Whether the guest cannot write to it.
    pub is_read_only: Option<bool>,
    /// Host path of the file or block device.
    pub path_on_host: Option<String>,
    /// Limits on requests.
    pub rate_limiter: Option<RateLimiter>,
    /// How the file is read and written.
    pub io_engine: Option<IoEngine>,
    /// Path of a vhost-user backend's socket. Not available yet.
    pub socket: Option<String>,
}

/// A change to a disk of a running machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PartialDrive {
    /// Its id, as in the path.
    #[cfg_attr(test, schema(pattern = "^[A-Za-z0-9_]{1,64}$"))]
    pub drive_id: String,
    /// Host path of the new file or block device; the same one again to have its size read anew.
    pub path_on_host: Option<String>,
    /// New limits on requests.
    pub rate_limiter: Option<RateLimiter>,
}

/// What the guest is told about the host's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum CacheType {
    /// There is nothing to flush.
    #[default]
    Unsafe,
    /// Flushes reach the disk.
    Writeback,
}

/// How a file is read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum IoEngine {
    /// One request after the other.
    #[default]
    Sync,
    /// io_uring.
    Async,
}

only_objects!(Drive, PartialDrive);
