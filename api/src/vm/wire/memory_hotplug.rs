//! `/hotplug/memory`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// Memory that can be plugged in while the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MemoryHotplugConfig {
    /// At most this many MiB.
    pub total_size_mib: u32,
    /// MiB that the guest plugs at a time.
    #[serde(default = "default_block")]
    #[cfg_attr(test, schema(minimum = 2))]
    pub block_size_mib: u32,
    /// MiB that the host provides at a time.
    #[serde(default = "default_slot")]
    #[cfg_attr(test, schema(minimum = 128))]
    pub slot_size_mib: u32,
}

fn default_block() -> u32 {
    2
}

fn default_slot() -> u32 {
    128
}

/// A new amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MemoryHotplugSizeUpdate {
    /// MiB that the guest should have plugged.
    pub requested_size_mib: u32,
}

/// How much is plugged in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct MemoryHotplugStatus {
    /// MiB that the guest plugs at a time.
    pub block_size_mib: u32,
    /// At most this many MiB.
    pub total_size_mib: u32,
    /// MiB that the host provides at a time.
    pub slot_size_mib: u32,
    /// MiB that the guest has plugged.
    pub plugged_size_mib: u32,
    /// MiB that the guest should have plugged.
    pub requested_size_mib: u32,
}

only_objects!(MemoryHotplugConfig, MemoryHotplugSizeUpdate, MemoryHotplugStatus);
