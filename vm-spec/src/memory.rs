//! Guest memory.

use serde::{Deserialize, Serialize};

use crate::Mib;

/// The least memory that a machine can have.
pub const MIN_MEMORY: Mib = Mib(32);

/// The most memory that a machine can have: 2^40 bytes.
pub const MAX_MEMORY: Mib = Mib(1 << 20);

/// The guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySpec {
    /// Amount in MiB: 32 to 2^20, even with 2 MiB pages. Default: 128.
    #[serde(default = "default_size")]
    pub size: Mib,
    /// What the host puts under it. Default: anonymous memory with the host's default pages.
    #[serde(default)]
    pub backing: MemoryBacking,
    /// Whether the host notes which pages the guest writes, for incremental snapshots.
    /// Default: no.
    #[serde(default)]
    pub dirty_tracking: bool,
    /// Whether all pages are touched before the guest starts. Default: no.
    #[serde(default)]
    pub prefault: bool,
}

/// What the host puts under guest memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryBacking {
    /// Private anonymous memory with the host's default pages.
    #[default]
    Anonymous,
    /// Private anonymous memory, with transparent huge pages asked for.
    TransparentHuge,
    /// A memfd, which other processes can share.
    Memfd,
    /// A memfd of reserved 2 MiB pages.
    #[serde(rename = "hugetlb-2m")]
    Hugetlb2M,
}

impl Default for MemorySpec {
    fn default() -> Self {
        Self {
            size: default_size(),
            backing: MemoryBacking::default(),
            dirty_tracking: false,
            prefault: false,
        }
    }
}

fn default_size() -> Mib {
    Mib(128)
}
