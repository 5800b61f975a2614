//! Bodies of requests and responses, as they stand in JSON.
//!
//! Names, optional fields and which of them are refused when unknown are Firecracker's. A field
//! that is not set is written as `null`, as there.

mod balloon;
mod boot;
mod config;
mod cpu;
mod drive;
mod instance;
mod logger;
mod machine;
mod memory_hotplug;
mod mmds;
mod net;
mod object;
mod pmem;
mod rate;
mod serial;
mod snapshot;
mod vsock;

pub use balloon::{
    Balloon, BalloonHintingStatus, BalloonStartCmd, BalloonStats, BalloonStatsUpdate, BalloonUpdate,
};
pub use boot::BootSource;
pub use config::FullVmConfiguration;
pub use cpu::{CpuConfig, CpuidLeafModifier, CpuidRegisterModifier, KvmCapability, MsrModifier};
pub use drive::{CacheType, Drive, IoEngine, PartialDrive};
pub use instance::{
    Action, ActionType, BulkheadAction, BulkheadActionType, InstanceInfo, InstanceState, Vm,
    VmState, VmmVersion,
};
pub use logger::{LogLevel, Logger, Metrics};
pub use machine::{HugePages, MachineConfiguration, MachineConfigurationUpdate, StaticCpuTemplate};
pub use memory_hotplug::{MemoryHotplugConfig, MemoryHotplugSizeUpdate, MemoryHotplugStatus};
pub use mmds::MmdsConfig;
pub use net::{EntropyDevice, NetworkInterface, NetworkLink, PartialNetworkInterface};
pub use pmem::{PartialPmem, Pmem};
pub use rate::{RateLimiter, TokenBucket};
pub use serial::SerialDevice;
pub use snapshot::{
    MemoryBackend, MemoryBackendType, NetworkOverride, SnapshotCreateParams, SnapshotHugePages,
    SnapshotLoadParams, SnapshotType, VsockOverride,
};
pub use vsock::Vsock;

use serde::{Deserialize, Serialize};

use object::only_objects;

/// The body of every answer that refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct Error {
    /// What is wrong with it.
    pub fault_message: String,
}

only_objects!(Error);
