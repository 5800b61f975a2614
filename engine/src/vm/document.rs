//! What clients of `/vms` send and get.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A plain machine to be made. It boots a kernel of the client's own and has no agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VmCreate {
    /// Its name. Default: the first 12 digits of its id.
    #[serde(default)]
    pub name: Option<String>,
    /// Host path of an ELF vmlinux or a bzImage.
    #[cfg_attr(test, schema(value_type = String))]
    pub kernel: PathBuf,
    /// Host path of an initial RAM disk. Default: none.
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub initrd: Option<PathBuf>,
    /// The kernel's command line. Default: the monitor's.
    #[serde(default)]
    pub cmdline: Option<String>,
    /// Processors, 1 to 254. Default: 1.
    #[serde(default)]
    pub cpus: Option<u8>,
    /// Memory, 32 to 1048576 MiB. Default: 128.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// Disks, in the order in which the guest finds them. Default: none.
    #[serde(default)]
    pub disks: Vec<VmDisk>,
    /// Labels. Default: none.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A disk of a plain machine: a file or block device of the host, raw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VmDisk {
    /// Host path.
    #[cfg_attr(test, schema(value_type = String))]
    pub path: PathBuf,
    /// Whether the guest cannot write. Default: it can.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the guest mounts it as `/`; one disk at most. Default: no.
    #[serde(default)]
    pub root: bool,
    /// Its serial number, at most 20 bytes of ASCII. Default: `disk` and its number.
    #[serde(default)]
    pub serial: Option<String>,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Made {
    /// Its id.
    pub id: String,
}

/// What a machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum VmKind {
    /// For itself.
    Plain,
    /// For a container, whose id it has. It ends with that.
    Container,
    /// For the containers of a pod, whose id it has.
    Pod,
}

/// How a machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// It was never started.
    #[default]
    Created,
    /// It runs.
    Running,
    /// Its processors stand still.
    Paused,
    /// It has ended.
    Ended,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Vm {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Its name, or that of the container.
    pub name: String,
    /// What it is for.
    pub kind: VmKind,
    /// How it is.
    pub state: VmState,
    /// When it was made (RFC 3339).
    pub created: String,
    /// When it was last started (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Processors.
    pub cpus: u8,
    /// Memory. The host gives what is used.
    pub memory_mib: u64,
    /// What it boots.
    pub kernel: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The ids of the containers in it.
    pub containers: Vec<String>,
    /// Its monitor, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    /// How it ended last, unless it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<VmEnd>,
}

/// The process that runs a machine, and where it is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Monitor {
    /// Its process id.
    pub pid: u32,
    /// The unix socket of its own API (Firecracker's, and `/bulkhead`).
    pub api_socket: String,
    /// The unix socket of the guest's vsock.
    pub vsock_socket: String,
}

/// The end of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct VmEnd {
    /// When (RFC 3339), if the monitor could say.
    pub time: Option<String>,
    /// `power-off`, `reboot`, `panic` and so on; none if it was the monitor that ended.
    pub end: Option<String>,
    /// The monitor's exit status, unless it was killed.
    pub status: Option<u8>,
    /// A sentence for people.
    pub message: String,
}

impl From<&launch::EndRecord> for VmEnd {
    fn from(record: &launch::EndRecord) -> Self {
        let end = record.end.and_then(|end| serde_json::to_value(end).ok());
        let moment = |ms: u64| crate::container::moment::from_nanos(ms.saturating_mul(1_000_000));
        Self {
            time: record.time_ms.map(moment).map(crate::container::moment::shortest),
            end: end.and_then(|end| end.as_str().map(str::to_owned)),
            status: record.status,
            message: record.message.clone(),
        }
    }
}
