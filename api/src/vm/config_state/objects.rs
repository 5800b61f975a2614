//! The configuration as it is collected object by object.

use std::net::Ipv4Addr;
use std::path::Path;

use vm_spec::{CpuTemplate, DEFAULT_CMDLINE, Mib, RateLimiter, StreamSpec};

use super::host::Host;
use super::operation::{DeviceChange, changed_limiter};
use super::static_template::{self, TemplateError};
use crate::vm::VmFault;
use crate::vm::wire::{
    self, Balloon, BootSource, CpuConfig, Drive, EntropyDevice, FullVmConfiguration, IoEngine,
    MachineConfiguration, MmdsConfig, NetworkInterface, SerialDevice, Vsock,
};

/// Everything that was put so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    pub(super) boot: Option<BootSource>,
    pub(super) machine: MachineConfiguration,
    pub(super) cpu: Option<CpuConfig>,
    /// The root device is the first.
    pub(super) drives: Vec<Drive>,
    pub(super) interfaces: Vec<NetworkInterface>,
    pub(super) vsock: Option<Vsock>,
    pub(super) balloon: Option<Balloon>,
    pub(super) entropy: Option<EntropyDevice>,
    pub(super) serial: SerialDevice,
    pub(super) mmds: Option<MmdsConfig>,
}

impl Objects {
    /// The command line without what is added to it.
    pub(super) fn cmdline(boot: &BootSource) -> &str {
        boot.boot_args.as_deref().unwrap_or(DEFAULT_CMDLINE)
    }

    /// Changes to the processors: of `/cpu-config`, or of the fixed set that was chosen.
    pub(super) fn cpu_template(&self) -> Result<CpuTemplate, VmFault> {
        match (&self.cpu, self.machine.cpu_template) {
            (Some(cpu), _) => Ok(cpu.clone().into()),
            (None, Some(template)) => static_template::changes(template).map_err(no_template),
            (None, None) => Ok(CpuTemplate::default()),
        }
    }

    /// Whether the fixed set of processor features that was chosen is for this host.
    pub(super) fn check_template(&self, host: &dyn Host) -> Result<(), VmFault> {
        let Some(template) = self.machine.cpu_template else { return Ok(()) };
        static_template::check(template, host.processor()).map_err(no_template)
    }

    /// Whether another drive than `id` has this file.
    pub(super) fn has_drive_file(&self, id: &str, path: &str) -> bool {
        self.drives.iter().any(|d| d.drive_id != id && d.path_on_host.as_deref() == Some(path))
    }

    /// As `GET /vm/config` shows it. What was not set is shown with its default.
    pub(super) fn full_config(&self) -> FullVmConfiguration {
        let drive = |drive: &Drive| Drive {
            is_read_only: Some(drive.is_read_only.unwrap_or(false)),
            io_engine: Some(drive.io_engine.unwrap_or(IoEngine::Sync)),
            rate_limiter: drive.rate_limiter.and_then(wire::RateLimiter::normal),
            ..drive.clone()
        };
        let interface = |interface: &NetworkInterface| NetworkInterface {
            rx_rate_limiter: interface.rx_rate_limiter.and_then(wire::RateLimiter::normal),
            tx_rate_limiter: interface.tx_rate_limiter.and_then(wire::RateLimiter::normal),
            ..interface.clone()
        };
        FullVmConfiguration {
            balloon: self.balloon,
            drives: self.drives.iter().map(drive).collect(),
            boot_source: self.boot.clone().unwrap_or_default(),
            cpu_config: None,
            logger: None,
            machine_config: Some(self.machine),
            metrics: None,
            mmds_config: self.mmds.clone().map(|config| MmdsConfig {
                ipv4_address: Some(config.ipv4_address.unwrap_or(DEFAULT_MMDS_ADDRESS)),
                ..config
            }),
            network_interfaces: self.interfaces.iter().map(interface).collect(),
            vsock: self.vsock.clone().map(|vsock| Vsock { vsock_id: None, ..vsock }),
            entropy: self.entropy.map(|entropy| EntropyDevice {
                rate_limiter: entropy.rate_limiter.and_then(wire::RateLimiter::normal),
            }),
            pmem: Vec::new(),
            memory_hotplug: None,
        }
    }

    /// Records a change to a device that runs.
    pub(super) fn apply(&mut self, change: DeviceChange) {
        match change {
            DeviceChange::Disk { id, path, rate_limiter } => {
                let Some(drive) = self.drives.iter_mut().find(|d| d.drive_id == id) else { return };
                if let Some(path) = path {
                    drive.path_on_host = Some(path.to_string_lossy().into_owned());
                }
                drive.rate_limiter = changed(drive.rate_limiter, rate_limiter);
            }
            DeviceChange::Net { id, rx, tx } => {
                let interface = self.interfaces.iter_mut().find(|i| i.iface_id == id);
                let Some(interface) = interface else { return };
                interface.rx_rate_limiter = changed(interface.rx_rate_limiter, rx);
                interface.tx_rate_limiter = changed(interface.tx_rate_limiter, tx);
            }
            DeviceChange::BalloonTarget(target) => {
                if let Some(balloon) = &mut self.balloon {
                    balloon.amount_mib = u32::try_from(target.0).unwrap_or(u32::MAX);
                }
            }
            DeviceChange::BalloonStatsInterval(seconds) => {
                if let Some(balloon) = &mut self.balloon {
                    balloon.stats_polling_interval_s = seconds;
                }
            }
        }
    }

    pub(super) fn serial_stream(&self) -> StreamSpec {
        stream(&self.serial)
    }

    pub(super) fn memory(&self) -> Mib {
        Mib(self.machine.mem_size_mib)
    }
}

fn no_template(error: TemplateError) -> VmFault {
    VmFault::Start(format!("Failed to get CPU template: {error}"))
}

/// Where the metadata service is if nothing else was said.
pub(super) const DEFAULT_MMDS_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Where the serial port's characters go.
pub(super) fn stream(serial: &SerialDevice) -> StreamSpec {
    match &serial.serial_out_path {
        Some(path) => StreamSpec::File { path: path.into(), limit: None },
        None => StreamSpec::Stdio {},
    }
}

/// A path of the wire as a path.
pub(super) fn path(text: &str) -> &Path {
    Path::new(text)
}

fn changed(old: Option<wire::RateLimiter>, new: Option<RateLimiter>) -> Option<wire::RateLimiter> {
    let old = old.unwrap_or_default();
    wire::RateLimiter::from(changed_limiter(old.into(), new)).normal()
}
