//! The requests, typed.

use std::os::unix::net::UnixStream;

use serde_json::Value;
use vm_spec::{ComponentId, VmSpec};

use super::{Client, ClientError};
use crate::vm::wire::{
    Action, ActionType, Balloon, BalloonStats, BalloonStatsUpdate, BalloonUpdate, BootSource,
    BulkheadAction, BulkheadActionType, CpuConfig, Drive, EntropyDevice, FullVmConfiguration,
    InstanceInfo, Logger, MachineConfiguration, MachineConfigurationUpdate, Metrics, MmdsConfig,
    NetworkInterface, NetworkLink, PartialDrive, PartialNetworkInterface, SerialDevice, Vm,
    VmState, VmmVersion, Vsock,
};

impl Client {
    /// What the monitor says about itself.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn instance(&self) -> Result<InstanceInfo, ClientError> {
        self.get("/")
    }

    /// The whole configuration.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn config(&self) -> Result<FullVmConfiguration, ClientError> {
        self.get("/vm/config")
    }

    /// Processors and memory.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn machine_config(&self) -> Result<MachineConfiguration, ClientError> {
        self.get("/machine-config")
    }

    /// Sets processors and memory.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_machine_config(&self, config: &MachineConfiguration) -> Result<(), ClientError> {
        self.change("PUT", "/machine-config", config)
    }

    /// Changes processors and memory.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn patch_machine_config(
        &self,
        update: &MachineConfigurationUpdate,
    ) -> Result<(), ClientError> {
        self.change("PATCH", "/machine-config", update)
    }

    /// Sets what the guest starts with.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_boot_source(&self, boot: &BootSource) -> Result<(), ClientError> {
        self.change("PUT", "/boot-source", boot)
    }

    /// Changes what the guest is told about its processors.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_cpu_config(&self, config: &CpuConfig) -> Result<(), ClientError> {
        self.change("PUT", "/cpu-config", config)
    }

    /// Adds or replaces a disk.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_drive(&self, drive: &Drive) -> Result<(), ClientError> {
        self.change("PUT", &format!("/drives/{}", drive.drive_id), drive)
    }

    /// Changes a disk of a running machine.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn patch_drive(&self, drive: &PartialDrive) -> Result<(), ClientError> {
        self.change("PATCH", &format!("/drives/{}", drive.drive_id), drive)
    }

    /// Adds or replaces a network interface.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_network_interface(&self, interface: &NetworkInterface) -> Result<(), ClientError> {
        self.change("PUT", &format!("/network-interfaces/{}", interface.iface_id), interface)
    }

    /// Changes a network interface of a running machine.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn patch_network_interface(
        &self,
        interface: &PartialNetworkInterface,
    ) -> Result<(), ClientError> {
        self.change("PATCH", &format!("/network-interfaces/{}", interface.iface_id), interface)
    }

    /// Plugs the cable of a network interface of a running machine in, or pulls it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn set_link(&self, iface_id: &str, up: bool) -> Result<(), ClientError> {
        let path = format!("/bulkhead/link/{iface_id}");
        self.change("PATCH", &path, &NetworkLink { up })
    }

    /// Adds or replaces the vsock device.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_vsock(&self, vsock: &Vsock) -> Result<(), ClientError> {
        self.change("PUT", "/vsock", vsock)
    }

    /// Adds or replaces the source of random numbers.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_entropy(&self, entropy: &EntropyDevice) -> Result<(), ClientError> {
        self.change("PUT", "/entropy", entropy)
    }

    /// Sets where the serial port's output goes.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_serial(&self, serial: &SerialDevice) -> Result<(), ClientError> {
        self.change("PUT", "/serial", serial)
    }

    /// The balloon's configuration.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn balloon(&self) -> Result<Balloon, ClientError> {
        self.get("/balloon")
    }

    /// Adds or replaces the balloon.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_balloon(&self, balloon: &Balloon) -> Result<(), ClientError> {
        self.change("PUT", "/balloon", balloon)
    }

    /// Changes the balloon's target.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn patch_balloon(&self, update: &BalloonUpdate) -> Result<(), ClientError> {
        self.change("PATCH", "/balloon", update)
    }

    /// What the guest last said about its memory.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn balloon_stats(&self) -> Result<BalloonStats, ClientError> {
        self.get("/balloon/statistics")
    }

    /// Changes how often the guest is asked about its memory.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn patch_balloon_stats(&self, update: &BalloonStatsUpdate) -> Result<(), ClientError> {
        self.change("PATCH", "/balloon/statistics", update)
    }

    /// Sets where and how the monitor logs.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_logger(&self, logger: &Logger) -> Result<(), ClientError> {
        self.change("PUT", "/logger", logger)
    }

    /// Sets where the monitor writes its metrics.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_metrics(&self, metrics: &Metrics) -> Result<(), ClientError> {
        self.change("PUT", "/metrics", metrics)
    }

    /// Sets up the metadata service.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_mmds_config(&self, config: &MmdsConfig) -> Result<(), ClientError> {
        self.change("PUT", "/mmds/config", config)
    }

    /// All metadata.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn mmds(&self) -> Result<Value, ClientError> {
        self.get("/mmds")
    }

    /// Replaces all metadata.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_mmds(&self, document: &Value) -> Result<(), ClientError> {
        self.change("PUT", "/mmds", document)
    }

    /// Changes metadata by a merge patch.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn patch_mmds(&self, patch: &Value) -> Result<(), ClientError> {
        self.change("PATCH", "/mmds", patch)
    }

    /// The machine as one document.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn spec(&self) -> Result<VmSpec, ClientError> {
        self.get("/bulkhead/spec")
    }

    /// Configures the machine as a whole.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn put_spec(&self, spec: &VmSpec) -> Result<(), ClientError> {
        self.change("PUT", "/bulkhead/spec", spec)
    }

    /// The monitor's version.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn version(&self) -> Result<String, ClientError> {
        let version: VmmVersion = self.get("/version")?;
        Ok(version.firecracker_version)
    }

    /// Starts the guest.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn start(&self) -> Result<(), ClientError> {
        self.action(ActionType::InstanceStart)
    }

    /// Has something done at once.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn action(&self, action_type: ActionType) -> Result<(), ClientError> {
        self.change("PUT", "/actions", &Action { action_type })
    }

    /// Pauses the guest.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn pause(&self) -> Result<(), ClientError> {
        self.change("PATCH", "/vm", &Vm { state: VmState::Paused })
    }

    /// Lets the guest go on.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn resume(&self) -> Result<(), ClientError> {
        self.change("PATCH", "/vm", &Vm { state: VmState::Resumed })
    }

    /// Presses the power button.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn power_button(&self) -> Result<(), ClientError> {
        let action_type = BulkheadActionType::PowerButton;
        self.change("PUT", "/bulkhead/actions", &BulkheadAction { action_type })
    }

    /// Ends the machine without asking the guest.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn stop(&self) -> Result<(), ClientError> {
        let action_type = BulkheadActionType::Stop;
        self.change("PUT", "/bulkhead/actions", &BulkheadAction { action_type })
    }

    /// All metrics, as Prometheus reads them.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn metrics(&self) -> Result<String, ClientError> {
        let body = self.accepted(self.send("GET", "/bulkhead/metrics", b"")?)?;
        String::from_utf8(body).map_err(|error| self.protocol_error(error))
    }

    /// An end of the console of `device`, or of the first there is, and what it has said already.
    ///
    /// # Errors
    ///
    /// [`ClientError`]
    pub fn attach_console(
        &self,
        device: Option<&ComponentId>,
    ) -> Result<(UnixStream, Vec<u8>), ClientError> {
        let fields = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
        let path = match device {
            Some(device) => &format!("/bulkhead/console/{device}"),
            None => "/bulkhead/console",
        };
        let opened = self.open("GET", path, fields, b"")?;
        if opened.status == 101 {
            return Ok((opened.stream, opened.early));
        }
        let reply = self.read_body(opened)?;
        self.accepted(reply)?;
        Err(self.protocol_error("no console"))
    }
}
