//! What a machine answers.

use std::os::unix::net::UnixStream;

use serde_json::Value;
use vm_spec::VmSpec;

use super::wire::{
    Balloon, BalloonHintingStatus, BalloonStats, FullVmConfiguration, InstanceInfo,
    MachineConfiguration, MemoryHotplugStatus,
};
use crate::metrics::MetricFamily;

/// The answer to a request that was carried out.
#[derive(Debug)]
pub enum VmResponse {
    /// Done; there is nothing to say.
    Empty,
    /// To `GET /`.
    Instance(InstanceInfo),
    /// To `GET /version`.
    Version(String),
    /// To `GET /vm/config`.
    Config(Box<FullVmConfiguration>),
    /// To `GET /machine-config`.
    MachineConfig(MachineConfiguration),
    /// To `GET /balloon`.
    Balloon(Balloon),
    /// To `GET /balloon/statistics`.
    BalloonStats(Box<BalloonStats>),
    /// To `GET /balloon/hinting/status`.
    BalloonHinting(BalloonHintingStatus),
    /// To `GET /hotplug/memory`.
    MemoryHotplug(MemoryHotplugStatus),
    /// To `GET /mmds`.
    Mmds(Value),
    /// To `GET /bulkhead/spec`.
    Spec(Box<VmSpec>),
    /// To `GET /bulkhead/metrics`.
    Metrics(Vec<MetricFamily>),
    /// To `GET /bulkhead/console`: the client's end of the console, nothing of it read yet.
    Console(UnixStream),
}
