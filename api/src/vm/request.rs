//! What a client can ask of a machine.

use serde_json::Value;
use vm_spec::ComponentId;

use super::wire::{
    ActionType, Balloon, BalloonStartCmd, BalloonStatsUpdate, BalloonUpdate, BootSource, CpuConfig,
    Drive, EntropyDevice, Logger, MachineConfigurationUpdate, MemoryHotplugConfig,
    MemoryHotplugSizeUpdate, Metrics, MmdsConfig, NetworkInterface, NetworkLink, PartialDrive,
    PartialNetworkInterface, PartialPmem, Pmem, SerialDevice, SnapshotCreateParams,
    SnapshotLoadParams, Vsock,
};

/// A request whose method, path and body were understood.
#[derive(Clone, Debug, PartialEq)]
pub enum VmRequest {
    /// `GET /`
    GetInstance,
    /// `GET /version`
    GetVersion,
    /// `GET /vm/config`
    GetConfig,
    /// `GET /machine-config`
    GetMachineConfig,
    /// `PUT` and `PATCH /machine-config`
    UpdateMachineConfig(MachineConfigurationUpdate),
    /// `PUT /boot-source`
    PutBootSource(BootSource),
    /// `PUT /cpu-config`
    PutCpuConfig(CpuConfig),
    /// `PUT /drives/{drive_id}`
    PutDrive(Drive),
    /// `PATCH /drives/{drive_id}`
    PatchDrive(PartialDrive),
    /// `DELETE /drives/{drive_id}`
    DeleteDrive(String),
    /// `PUT /network-interfaces/{iface_id}`
    PutNetworkInterface(NetworkInterface),
    /// `PATCH /network-interfaces/{iface_id}`
    PatchNetworkInterface(PartialNetworkInterface),
    /// `DELETE /network-interfaces/{iface_id}`
    DeleteNetworkInterface(String),
    /// `PUT /pmem/{id}`
    PutPmem(Pmem),
    /// `PATCH /pmem/{id}`
    PatchPmem(PartialPmem),
    /// `DELETE /pmem/{id}`
    DeletePmem(String),
    /// `PUT /vsock`
    PutVsock(Vsock),
    /// `PUT /entropy`
    PutEntropy(EntropyDevice),
    /// `PUT /serial`
    PutSerial(SerialDevice),
    /// `GET /balloon`
    GetBalloon,
    /// `PUT /balloon`
    PutBalloon(Balloon),
    /// `PATCH /balloon`
    PatchBalloon(BalloonUpdate),
    /// `GET /balloon/statistics`
    GetBalloonStats,
    /// `PATCH /balloon/statistics`
    PatchBalloonStats(BalloonStatsUpdate),
    /// `PATCH /balloon/hinting/start`
    StartBalloonHinting(BalloonStartCmd),
    /// `GET /balloon/hinting/status`
    GetBalloonHinting,
    /// `PATCH /balloon/hinting/stop`
    StopBalloonHinting,
    /// `GET /hotplug/memory`
    GetMemoryHotplug,
    /// `PUT /hotplug/memory`
    PutMemoryHotplug(MemoryHotplugConfig),
    /// `PATCH /hotplug/memory`
    PatchMemoryHotplug(MemoryHotplugSizeUpdate),
    /// `PUT /logger`
    PutLogger(Logger),
    /// `PUT /metrics`
    PutMetrics(Metrics),
    /// `PUT /mmds/config`
    PutMmdsConfig(MmdsConfig),
    /// `GET /mmds`
    GetMmds,
    /// `PUT /mmds`
    PutMmds(Value),
    /// `PATCH /mmds`
    PatchMmds(Value),
    /// `PUT /actions`
    Action(ActionType),
    /// `PATCH /vm` with `Paused`
    Pause,
    /// `PATCH /vm` with `Resumed`
    Resume,
    /// `PUT /snapshot/create`
    CreateSnapshot(SnapshotCreateParams),
    /// `PUT /snapshot/load`
    LoadSnapshot(SnapshotLoadParams),
    /// `GET /bulkhead/spec`
    GetSpec,
    /// `PUT /bulkhead/spec`
    PutSpec(Box<vm_spec::VmSpec>),
    /// `PUT /bulkhead/actions` with `PowerButton`
    PowerButton,
    /// `PUT /bulkhead/actions` with `Stop`
    Stop,
    /// `PATCH /bulkhead/link/{id}`
    SetLink {
        /// The interface.
        iface_id: String,
        /// Its cable.
        link: NetworkLink,
    },
    /// `GET /bulkhead/metrics`
    GetMetrics,
    /// `GET /bulkhead/console` and `GET /bulkhead/console/{id}`: of that device, else the first.
    AttachConsole(Option<ComponentId>),
}

impl VmRequest {
    /// Method and path, for logs and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetInstance => "GET /",
            Self::GetVersion => "GET /version",
            Self::GetConfig => "GET /vm/config",
            Self::GetMachineConfig => "GET /machine-config",
            Self::UpdateMachineConfig(_) => "PUT /machine-config",
            Self::PutBootSource(_) => "PUT /boot-source",
            Self::PutCpuConfig(_) => "PUT /cpu-config",
            Self::PutDrive(_) => "PUT /drives",
            Self::PatchDrive(_) => "PATCH /drives",
            Self::DeleteDrive(_) => "DELETE /drives",
            Self::PutNetworkInterface(_) => "PUT /network-interfaces",
            Self::PatchNetworkInterface(_) => "PATCH /network-interfaces",
            Self::DeleteNetworkInterface(_) => "DELETE /network-interfaces",
            Self::PutPmem(_) => "PUT /pmem",
            Self::PatchPmem(_) => "PATCH /pmem",
            Self::DeletePmem(_) => "DELETE /pmem",
            Self::PutVsock(_) => "PUT /vsock",
            Self::PutEntropy(_) => "PUT /entropy",
            Self::PutSerial(_) => "PUT /serial",
            Self::GetBalloon => "GET /balloon",
            Self::PutBalloon(_) => "PUT /balloon",
            Self::PatchBalloon(_) => "PATCH /balloon",
            Self::GetBalloonStats => "GET /balloon/statistics",
            Self::PatchBalloonStats(_) => "PATCH /balloon/statistics",
            Self::StartBalloonHinting(_) => "PATCH /balloon/hinting/start",
            Self::GetBalloonHinting => "GET /balloon/hinting/status",
            Self::StopBalloonHinting => "PATCH /balloon/hinting/stop",
            Self::GetMemoryHotplug => "GET /hotplug/memory",
            Self::PutMemoryHotplug(_) => "PUT /hotplug/memory",
            Self::PatchMemoryHotplug(_) => "PATCH /hotplug/memory",
            Self::PutLogger(_) => "PUT /logger",
            Self::PutMetrics(_) => "PUT /metrics",
            Self::PutMmdsConfig(_) => "PUT /mmds/config",
            Self::GetMmds => "GET /mmds",
            Self::PutMmds(_) => "PUT /mmds",
            Self::PatchMmds(_) => "PATCH /mmds",
            Self::Action(_) => "PUT /actions",
            Self::Pause | Self::Resume => "PATCH /vm",
            Self::CreateSnapshot(_) => "PUT /snapshot/create",
            Self::LoadSnapshot(_) => "PUT /snapshot/load",
            Self::GetSpec => "GET /bulkhead/spec",
            Self::PutSpec(_) => "PUT /bulkhead/spec",
            Self::PowerButton | Self::Stop => "PUT /bulkhead/actions",
            Self::SetLink { .. } => "PATCH /bulkhead/link",
            Self::GetMetrics => "GET /bulkhead/metrics",
            Self::AttachConsole(_) => "GET /bulkhead/console",
        }
    }
}
