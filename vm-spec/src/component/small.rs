//! Devices without a backend.

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::{Mib, RateLimiter, Slot};

/// A virtio-rng device (VIRTIO 1.3 §5.4), fed by the host's random number generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntropySpec {
    /// Where it is plugged in. Default: the first free slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Limits on what the guest draws. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_limiter: RateLimiter,
}

/// A virtio-balloon device (VIRTIO 1.3 §5.5). A machine has at most one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalloonSpec {
    /// Where it is plugged in. Default: the first free slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// What the guest is asked to give back, at most its memory. Default: nothing.
    #[serde(default)]
    pub target: Mib,
    /// Whether the guest may take memory back when it has none left. Default: no.
    #[serde(default)]
    pub deflate_on_oom: bool,
    /// Seconds between two statistics; 0 turns them off. Default: 0.
    #[serde(default)]
    pub stats_interval_s: u16,
    /// Whether the guest is told to hint at free pages on demand. Default: no.
    #[serde(default)]
    pub free_page_hinting: bool,
    /// Whether the guest reports free pages as it frees them. Default: no.
    #[serde(default)]
    pub free_page_reporting: bool,
}

/// The VM generation ID: 128 bits that differ after each restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmGenIdSpec {}
