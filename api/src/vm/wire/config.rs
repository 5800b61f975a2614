//! `/vm/config` and the configuration file.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

use super::{
    Balloon, BootSource, CpuConfig, Drive, EntropyDevice, Logger, MachineConfiguration,
    MemoryHotplugConfig, Metrics, MmdsConfig, NetworkInterface, Pmem, Vsock,
};

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub struct FullVmConfiguration {
    /// Memory that the guest is asked to give back.
    pub balloon: Option<Balloon>,
    /// Disks, the root device first.
    pub drives: Vec<Drive>,
    /// What the guest starts with.
    pub boot_source: BootSource,
    /// Changes to what the guest is told about its processors.
    pub cpu_config: Option<CpuConfig>,
    /// Where and how the monitor logs.
    pub logger: Option<Logger>,
    /// Processors and memory.
    pub machine_config: Option<MachineConfiguration>,
    /// Where the monitor writes its metrics.
    pub metrics: Option<Metrics>,
    /// The metadata service.
    pub mmds_config: Option<MmdsConfig>,
    /// Network interfaces.
    pub network_interfaces: Vec<NetworkInterface>,
    /// Sockets between guest and host.
    pub vsock: Option<Vsock>,
    /// A source of random numbers.
    pub entropy: Option<EntropyDevice>,
    /// Files as persistent memory.
    pub pmem: Vec<Pmem>,
    /// Memory that can be plugged in while the guest runs.
    pub memory_hotplug: Option<MemoryHotplugConfig>,
}

only_objects!(FullVmConfiguration);
