//! What clients of `/pods` send and get.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::container::live::Container;
use crate::container::moment;
use crate::container::record::{Phase, Role};

/// A pod to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PodCreate {
    /// Its name, which no container has either. Default: one is made up.
    #[serde(default)]
    pub name: Option<String>,
    /// The host name that all its containers have. Default: the first 12 digits of its id.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Processors of its machine, rounded up. Default: half of the host's.
    #[serde(default)]
    pub cpus: Option<f64>,
    /// Memory that its containers can use together. Default: a machine of 1024 MiB.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// Networks by name or id, the first one being that of the default route. Default: `bridge`.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Further names on these networks. Default: none.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Ports that are published. Default: none.
    #[serde(default)]
    pub ports: Vec<PodPort>,
    /// Name servers. Default: the networks' own.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Whether its containers share System V's and POSIX's message queues, semaphores and memory
    /// segments, and `/dev/shm`, which may have half of the machine's memory then. Default: no.
    #[serde(default)]
    pub share_ipc: bool,
    /// Labels. Default: none.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A port of a pod that one of the host leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PodPort {
    /// In the pod, as `80` or `80/udp`.
    pub port: String,
    /// Address of the host. Default: all.
    #[serde(default)]
    pub host_address: Option<String>,
    /// Port of the host, or a range of which one is taken. Default: any.
    #[serde(default)]
    pub host_port: Option<String>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Pod {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `created`, `running`, `exited`; `removing` or `dead` if removing it failed.
    pub state: String,
    /// Why it exited, unless it was stopped.
    pub error: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// When it was last started (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// The host name of its containers.
    pub hostname: String,
    /// Processors of its machine.
    pub cpus: u8,
    /// Memory of its machine.
    pub memory_mib: u64,
    /// Whether its containers share IPC.
    pub share_ipc: bool,
    /// Its networks, by name.
    pub networks: Vec<String>,
    /// Its addresses, while it runs.
    pub addresses: Vec<String>,
    /// Its published ports, while it runs.
    pub ports: Vec<PodPort>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its containers, the oldest first.
    pub containers: Vec<PodContainer>,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct PodContainer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state, as Docker calls it.
    pub state: String,
}

impl Container {
    /// A pod as clients see it.
    pub async fn pod_document(&self) -> Pod {
        let (record, spec) = (self.record(), self.spec());
        let joined = self.ground.networks.joined(&self.id).await;
        let published = self.ground.networks.published(&self.id).await;
        let addresses = joined.iter().flat_map(|joined| &joined.attachment.addresses);
        let started = record.state.started_ns;
        let port = |publication: &crate::network::Publication| PodPort {
            port: format!(
                "{}/{}",
                publication.container_port,
                super::super::networks::word(publication)
            ),
            host_address: Some(publication.host_address.to_string()),
            host_port: Some(publication.host_port.to_string()),
        };
        let mut networks: Vec<_> = self.network_documents().await.into_keys().collect();
        networks.sort_unstable();
        Pod {
            state: record.state.phase.as_str().to_owned(),
            error: record.state.error,
            created: moment::shortest(moment::from_nanos(record.created_ns)),
            started: (started > 0).then(|| moment::shortest(moment::from_nanos(started))),
            hostname: spec.hostname.clone(),
            cpus: spec.machine.cpus,
            memory_mib: spec.machine.memory_mib,
            share_ipc: matches!(record.role, Role::Pod { share_ipc: true, .. }),
            networks,
            addresses: addresses.map(ToString::to_string).collect(),
            ports: published.iter().map(port).collect(),
            labels: record.config.labels.unwrap_or_default().into_iter().collect(),
            containers: self.members().iter().map(|member| pod_container(member)).collect(),
            id: record.id,
            name: record.name,
        }
    }

    /// A pod's containers, the oldest first.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<Self>> {
        let mut members = self.ground.members(&self.id);
        members.reverse();
        members
    }
}

fn pod_container(container: &Container) -> PodContainer {
    let phase: Phase = container.phase();
    PodContainer {
        id: container.id.clone(),
        name: container.name(),
        state: phase.as_str().to_owned(),
    }
}
