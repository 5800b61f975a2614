//! The configuration file.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use vm_spec::VmSpec;

use super::host::Host;
use crate::vm::route::parse_json;
use crate::vm::wire::{
    Balloon, BootSource, CpuConfig, Drive, EntropyDevice, Logger, MachineConfiguration,
    MemoryHotplugConfig, Metrics, MmdsConfig, NetworkInterface, Pmem, SerialDevice, Vsock,
};
use crate::vm::{VmFault, VmRequest};

/// A configuration file: either the machine as one document ([`VmSpec`], told by its `boot`), or
/// the objects that a client of Firecracker's API would send, by the names of their paths.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigFile {
    /// The machine as one document.
    Spec(Box<VmSpec>),
    /// The API's objects.
    Objects(Box<ConfigObjects>),
}

/// The objects of a configuration file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigObjects {
    balloon: Option<Balloon>,
    drives: Vec<Drive>,
    boot_source: BootSource,
    cpu_config: Option<Value>,
    logger: Option<Logger>,
    machine_config: Option<MachineConfiguration>,
    metrics: Option<Metrics>,
    mmds_config: Option<MmdsConfig>,
    #[serde(default)]
    network_interfaces: Vec<NetworkInterface>,
    vsock: Option<Vsock>,
    entropy: Option<EntropyDevice>,
    #[serde(default)]
    pmem: Vec<Pmem>,
    serial: Option<SerialDevice>,
    memory_hotplug: Option<MemoryHotplugConfig>,
}

/// A text that is no configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid configuration: {0}")]
pub struct ConfigFileError(String);

impl ConfigFile {
    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError`], which names the field at fault.
    pub fn parse(text: &str) -> Result<Self, ConfigFileError> {
        /// Only as much as tells both kinds apart.
        #[derive(Deserialize)]
        struct Kind {
            boot: Option<serde::de::IgnoredAny>,
        }

        let text = text.as_bytes();
        let kind: Kind = parse_json(text).map_err(ConfigFileError)?;
        match kind.boot {
            Some(_) => parse_json(text).map(Self::Spec),
            None => parse_json(text).map(Self::Objects),
        }
        .map_err(ConfigFileError)
    }

    /// The requests that it stands for, in order.
    pub(super) fn into_requests(self, host: &mut dyn Host) -> Result<Vec<VmRequest>, VmFault> {
        match self {
            Self::Spec(spec) => Ok(vec![VmRequest::PutSpec(spec)]),
            Self::Objects(objects) => objects.into_requests(host),
        }
    }
}

impl ConfigObjects {
    fn into_requests(self, host: &mut dyn Host) -> Result<Vec<VmRequest>, VmFault> {
        let cpu = self.cpu_config.map(|value| cpu_config(value, host)).transpose()?;
        let mut requests = Vec::new();
        requests.extend(self.logger.map(VmRequest::PutLogger));
        requests.extend(self.metrics.map(VmRequest::PutMetrics));
        let machine = self.machine_config.map(Into::into);
        requests.extend(machine.map(VmRequest::UpdateMachineConfig));
        requests.extend(cpu.map(VmRequest::PutCpuConfig));
        requests.push(VmRequest::PutBootSource(self.boot_source));
        requests.extend(self.drives.into_iter().map(VmRequest::PutDrive));
        let interfaces = self.network_interfaces.into_iter();
        requests.extend(interfaces.map(VmRequest::PutNetworkInterface));
        requests.extend(self.vsock.map(VmRequest::PutVsock));
        requests.extend(self.balloon.map(VmRequest::PutBalloon));
        requests.extend(self.mmds_config.map(VmRequest::PutMmdsConfig));
        requests.extend(self.entropy.map(VmRequest::PutEntropy));
        requests.extend(self.pmem.into_iter().map(VmRequest::PutPmem));
        requests.extend(self.serial.map(VmRequest::PutSerial));
        requests.extend(self.memory_hotplug.map(VmRequest::PutMemoryHotplug));
        Ok(requests)
    }
}

/// Changes to the processors, given in place or as the path of a file.
fn cpu_config(value: Value, host: &mut dyn Host) -> Result<CpuConfig, VmFault> {
    let fault = |error: String| VmFault::Internal(format!("CPU configuration: {error}"));
    match value {
        Value::String(path) => {
            let path = PathBuf::from(path);
            let text = host
                .read_cpu_config(&path)
                .map_err(|error| fault(format!("cannot read {}: {error}", path.display())))?;
            parse_json(text.as_bytes()).map_err(fault)
        }
        object => serde_json::from_value(object).map_err(|error| fault(error.to_string())),
    }
}
