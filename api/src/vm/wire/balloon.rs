//! `/balloon` and below.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// Memory that the guest is asked to give back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Balloon {
    /// Target in MiB.
    pub amount_mib: u32,
    /// Whether the guest may take memory back when it has none left.
    pub deflate_on_oom: bool,
    /// Seconds between two statistics; 0 turns them off.
    #[serde(default)]
    pub stats_polling_interval_s: u16,
    /// Whether the guest hints at free pages on demand.
    #[serde(default)]
    pub free_page_hinting: bool,
    /// Whether the guest reports free pages as it frees them.
    #[serde(default)]
    pub free_page_reporting: bool,
}

/// A new target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BalloonUpdate {
    /// Target in MiB.
    pub amount_mib: u32,
}

/// A new interval of statistics. They cannot be turned on or off while the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BalloonStatsUpdate {
    /// Seconds between two statistics.
    pub stats_polling_interval_s: u16,
}

/// Starts a run of free-page hinting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct BalloonStartCmd {
    /// Whether the end of the run is acknowledged at once.
    #[serde(default = "acknowledged")]
    pub acknowledge_on_stop: bool,
}

impl Default for BalloonStartCmd {
    fn default() -> Self {
        Self { acknowledge_on_stop: acknowledged() }
    }
}

fn acknowledged() -> bool {
    true
}

/// Where a run of free-page hinting is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct BalloonHintingStatus {
    /// The host's last command.
    pub host_cmd: u32,
    /// The guest's last command.
    pub guest_cmd: Option<u32>,
}

/// What the guest last said about its memory. Fields that the guest does not know are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct BalloonStats {
    /// Target in pages of 4 KiB.
    pub target_pages: u32,
    /// What the host has, in pages of 4 KiB.
    pub actual_pages: u32,
    /// Target in MiB.
    pub target_mib: u32,
    /// What the host has, in MiB.
    pub actual_mib: u32,
    /// Bytes swapped in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_in: Option<u64>,
    /// Bytes swapped out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_out: Option<u64>,
    /// Major page faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_faults: Option<u64>,
    /// Minor page faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor_faults: Option<u64>,
    /// Bytes not used for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_memory: Option<u64>,
    /// Bytes in total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_memory: Option<u64>,
    /// Bytes that new programs could have without swapping, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_memory: Option<u64>,
    /// Bytes that can be reclaimed without input or output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_caches: Option<u64>,
    /// Huge pages given out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugetlb_allocations: Option<u64>,
    /// Huge pages asked for in vain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugetlb_failures: Option<u64>,
    /// Times that the OOM killer ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kill: Option<u64>,
    /// Allocations that had to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alloc_stall: Option<u64>,
    /// Pages scanned in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub async_scan: Option<u64>,
    /// Pages scanned by who needed memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_scan: Option<u64>,
    /// Pages reclaimed in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub async_reclaim: Option<u64>,
    /// Pages reclaimed by who needed memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_reclaim: Option<u64>,
}

only_objects!(
    Balloon,
    BalloonUpdate,
    BalloonStatsUpdate,
    BalloonStartCmd,
    BalloonHintingStatus,
    BalloonStats
);
