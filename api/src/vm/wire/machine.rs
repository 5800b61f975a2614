//! `/machine-config`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// Processors and memory. Fields that are not given become their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MachineConfiguration {
    /// Virtual processors; 1 or an even number with `smt`.
    #[cfg_attr(test, schema(minimum = 1, maximum = 254))]
    pub vcpu_count: u8,
    /// Memory in MiB; even with pages of 2 MiB.
    #[cfg_attr(test, schema(minimum = 1))]
    pub mem_size_mib: u64,
    /// Whether two processors share a core.
    #[serde(default)]
    pub smt: bool,
    /// Deprecated: a fixed set of processor features, for some hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_template: Option<StaticCpuTemplate>,
    /// Whether written pages are noted, for incremental snapshots.
    #[serde(default)]
    pub track_dirty_pages: bool,
    /// Pages under guest memory.
    #[serde(default)]
    pub huge_pages: HugePages,
}

impl Default for MachineConfiguration {
    fn default() -> Self {
        Self {
            vcpu_count: 1,
            mem_size_mib: 128,
            smt: false,
            cpu_template: None,
            track_dirty_pages: false,
            huge_pages: HugePages::None,
        }
    }
}

/// A change to processors and memory. Fields that are not given stay as they are; one at least is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MachineConfigurationUpdate {
    /// Virtual processors; 1 or an even number with `smt`.
    #[cfg_attr(test, schema(minimum = 1, maximum = 254))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcpu_count: Option<u8>,
    /// Memory in MiB; even with pages of 2 MiB.
    #[cfg_attr(test, schema(minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_size_mib: Option<u64>,
    /// Whether two processors share a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smt: Option<bool>,
    /// Deprecated: a fixed set of processor features, for some hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_template: Option<StaticCpuTemplate>,
    /// Whether written pages are noted, for incremental snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_dirty_pages: Option<bool>,
    /// Pages under guest memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub huge_pages: Option<HugePages>,
}

impl From<MachineConfiguration> for MachineConfigurationUpdate {
    fn from(config: MachineConfiguration) -> Self {
        Self {
            vcpu_count: Some(config.vcpu_count),
            mem_size_mib: Some(config.mem_size_mib),
            smt: Some(config.smt),
            cpu_template: config.cpu_template,
            track_dirty_pages: Some(config.track_dirty_pages),
            huge_pages: Some(config.huge_pages),
        }
    }
}

/// A fixed set of processor features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum StaticCpuTemplate {
    /// Intel Skylake, Cascade Lake, Ice Lake: as EC2's C3.
    C3,
    /// Intel Skylake, Cascade Lake, Ice Lake: as EC2's T2.
    T2,
    /// Intel Skylake, Cascade Lake: T2, for snapshots that move between them.
    T2S,
    /// Intel Cascade Lake, Ice Lake: T2, with what protects them.
    T2CL,
    /// AMD Milan: the features of T2CL.
    T2A,
    /// What the host has.
    None,
}

/// Pages under guest memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum HugePages {
    /// The host's default pages.
    #[default]
    None,
    /// Transparent huge pages.
    Transparent,
    /// Reserved pages of 2 MiB.
    #[serde(rename = "2M")]
    Hugetlbfs2M,
}

impl HugePages {
    /// MiB of which the memory size must be a multiple.
    pub fn granule_mib(self) -> u64 {
        match self {
            Self::None => 1,
            Self::Transparent | Self::Hugetlbfs2M => 2,
        }
    }
}

only_objects!(MachineConfiguration, MachineConfigurationUpdate);
