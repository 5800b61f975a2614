//! What is written down of a container.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{ContainerConfig, EndpointSettings, HostConfig};
use serde::{Deserialize, Serialize};

use super::spec::{ContainerSpec, SpecError};
use crate::store;

/// A container as the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// Nanoseconds since 1970.
    pub created_ns: u64,
    /// The image as the client named it.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// What was asked for, completed from the image.
    pub config: ContainerConfig,
    /// The rest of what was asked for.
    pub host_config: HostConfig,
    /// The networks it was asked to be on, by name or id.
    pub endpoints: HashMap<String, EndpointSettings>,
    /// Its file systems.
    pub mounts: Vec<MountRecord>,
    /// How it is.
    pub state: State,
    /// How often it was started again by itself.
    pub restart_count: u64,
    /// A user ended it: it does not start by itself.
    pub stopped_by_user: bool,
    /// Whose machine it runs in.
    #[serde(default)]
    pub role: Role,
}

impl store::Record for ContainerRecord {
    const TABLE: &'static str = "containers";
    const VERSION: u32 = 1;
}

impl ContainerRecord {
    /// What follows from what was asked for.
    pub fn spec(&self) -> Result<ContainerSpec, SpecError> {
        ContainerSpec::read(&self.id, &self.config, &self.host_config)
    }

    /// Attributes of its events: its labels, its image and its name.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<String, String> {
        let labels = self.config.labels.iter().flatten();
        let mut all: BTreeMap<_, _> =
            labels.map(|(name, value)| (name.clone(), value.clone())).collect();
        all.insert("image".to_owned(), self.image.clone());
        all.insert("name".to_owned(), self.name.clone());
        all
    }
}

/// Whose machine a container runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its own.
    #[default]
    Alone,
    /// A pod's.
    Member {
        /// The pod's id.
        pod: String,
    },
    /// It is a pod: a machine without a process of its own.
    Pod {
        /// Its containers share System V's and POSIX's means of communication.
        share_ipc: bool,
        /// The containers that its machine has the devices of, since it started last.
        inside: Vec<String>,
    },
}

/// A file system of a container, its source decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRecord {
    /// Where in the container.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// What is there.
    pub source: MountedSource,
}

/// Where a file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountedSource {
    /// A folder or file of the host.
    Bind {
        /// Its path.
        path: String,
    },
    /// A volume.
    Volume {
        /// Its name.
        name: String,
        /// The folder of the host that is shared.
        folder: String,
        /// A folder of it.
        subpath: String,
        /// It gets the image's content while it is empty.
        populate: bool,
    },
    /// Memory.
    Tmpfs {
        /// Options of mount(8).
        options: String,
    },
}

/// Docker's states of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Never started, or failed to.
    #[default]
    Created,
    /// Its first process runs.
    Running,
    /// It is frozen.
    Paused,
    /// It ended and is about to start again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It ended.
    Exited,
    /// Removing it failed half-way.
    Dead,
}

impl Phase {
    /// Docker's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether there is a first process, or will be soon by itself.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// How a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The state.
    pub phase: Phase,
    /// The first process in the machine; 0 when there is none.
    pub pid: u32,
    /// Of the last run.
    pub exit_code: i64,
    /// The kernel killed a process for want of memory.
    pub oom_killed: bool,
    /// Why the last start failed.
    pub error: String,
    /// Nanoseconds since 1970; 0 for never.
    pub started_ns: u64,
    /// Nanoseconds since 1970; 0 for never.
    pub finished_ns: u64,
    /// While it is being removed: its anonymous volumes go, too.
    #[serde(default)]
    pub remove_volumes: bool,
}
