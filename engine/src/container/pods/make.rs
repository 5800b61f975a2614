//! Making pods, and containers in them.

use std::collections::HashMap;
use std::sync::Arc;

use bollard_stubs::models::{ContainerConfig, EndpointSettings, HostConfig, PortBinding};

use super::document::{PodCreate, PodPort};
use crate::container::live::Container;
use crate::container::networks::NONE_ALONE;
use crate::container::record::{ContainerRecord, Role, State};
use crate::container::spec::ContainerSpec;
use crate::container::{ContainerError, Service, moment, names};
use crate::network::NONE;

impl Service {
    /// The pod that `text` means: its id, its name, or the beginning of its id.
    pub fn find_pod(&self, text: &str) -> Result<Arc<Container>, ContainerError> {
        self.ground.find_pod(text)
    }

    /// All pods, newest first.
    #[must_use]
    pub fn pods(&self) -> Vec<Arc<Container>> {
        self.ground.pods()
    }

    /// Makes a pod. It does not run yet.
    pub async fn create_pod(&self, request: PodCreate) -> Result<Arc<Container>, ContainerError> {
        let id = names::new_id()?;
        let (config, host_config, endpoints) = settings(&id, &request)?;
        ContainerSpec::read(&id, &config, &host_config)?;
        if endpoints.len() > 1 && endpoints.contains_key(NONE) {
            return Err(ContainerError::Invalid(NONE_ALONE.to_owned()));
        }
        let name = match &request.name {
            Some(name) => {
                let name = names::checked(name)?;
                self.ground.reserve(&name, &id)?;
                name
            }
            None => self.ground.reserve_any(&id)?,
        };
        let record = ContainerRecord {
            id: id.clone(),
            name: name.clone(),
            created_ns: moment::now_ns(),
            image: String::new(),
            image_id: String::new(),
            config,
            host_config,
            endpoints,
            mounts: Vec::new(),
            state: State::default(),
            restart_count: 0,
            stopped_by_user: false,
            role: Role::Pod { share_ipc: request.share_ipc, inside: Vec::new() },
        };
        let made = self.write_down(record).await;
        if made.is_err() {
            self.ground.release(&name, &id);
        }
        made
    }
}

impl Container {
    /// Makes a container that is about to be made one of this pod's. What is the pod's own is
    /// refused, and what belongs to all of them is filled in.
    pub(in crate::container) fn take_in(
        &self,
        config: &mut ContainerConfig,
        host: &mut HostConfig,
        endpoints: &HashMap<String, EndpointSettings>,
    ) -> Result<Role, ContainerError> {
        let network = host.network_mode.as_deref().unwrap_or_default();
        let is_set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let refused = [
            ("--network", !matches!(network, "" | "default")),
            ("--network", endpoints.keys().any(|name| name != "default")),
            ("--publish", host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty())),
            ("--publish-all", host.publish_all_ports.unwrap_or_default()),
            ("--hostname", is_set(&config.hostname)),
            ("--domainname", is_set(&config.domainname)),
            ("--dns", host.dns.as_ref().is_some_and(|servers| !servers.is_empty())),
        ];
        if let Some((option, _)) = refused.iter().find(|(_, refused)| *refused) {
            let text = format!("{option} is the pod's, and not that of a container in it");
            return Err(ContainerError::Invalid(text));
        }
        config.hostname = Some(self.spec().hostname.clone());
        host.network_mode = Some(format!("container:{}", self.id));
        Ok(Role::Member { pod: self.id.clone() })
    }

    /// Networks are those of the pod.
    pub(in crate::container) fn refuse_in_pod(&self) -> Result<(), ContainerError> {
        match self.pod() {
            None => Ok(()),
            Some(pod) => {
                let (name, pod) = (self.name(), pod.name());
                let text = format!("container {name} is on the networks of its pod {pod}");
                Err(ContainerError::Conflict(text))
            }
        }
    }
}

type Settings = (ContainerConfig, HostConfig, HashMap<String, EndpointSettings>);

/// A pod's settings in the words of a container's.
fn settings(id: &str, request: &PodCreate) -> Result<Settings, ContainerError> {
    let hostname = request.hostname.clone().unwrap_or_else(|| names::short_id(id).to_owned());
    let config = ContainerConfig {
        hostname: Some(hostname),
        labels: Some(request.labels.clone().into_iter().collect()),
        ..ContainerConfig::default()
    };
    let network = request.networks.first().cloned().unwrap_or_else(|| "bridge".to_owned());
    let endpoint =
        EndpointSettings { aliases: Some(request.aliases.clone()), ..EndpointSettings::default() };
    let names = request.networks.iter().chain([&network]);
    let endpoints = names.map(|name| (name.clone(), endpoint.clone())).collect();
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &request.ports {
        let key =
            if port.port.contains('/') { port.port.clone() } else { format!("{}/tcp", port.port) };
        ports.entry(key).or_default().get_or_insert_default().push(binding(port));
    }
    let host = HostConfig {
        network_mode: Some(network),
        nano_cpus: request.cpus.map(nano_cpus).transpose()?,
        memory: request.memory_mib.map(bytes).transpose()?,
        port_bindings: Some(ports),
        dns: Some(request.dns.clone()),
        ..HostConfig::default()
    };
    Ok((config, host, endpoints))
}

fn binding(port: &PodPort) -> PortBinding {
    PortBinding { host_ip: port.host_address.clone(), host_port: port.host_port.clone() }
}

fn nano_cpus(cpus: f64) -> Result<i64, ContainerError> {
    if !(0.01..=254.0).contains(&cpus) {
        return Err(ContainerError::Invalid(format!("a pod cannot have {cpus} processors")));
    }
    // In this range nothing is lost but what nobody asks for.
    #[expect(clippy::cast_possible_truncation)]
    Ok((cpus * 1e9) as i64)
}

fn bytes(mib: u64) -> Result<i64, ContainerError> {
    let bytes = mib.checked_mul(1 << 20).and_then(|bytes| i64::try_from(bytes).ok());
    bytes.ok_or_else(|| ContainerError::Invalid(format!("a pod cannot have {mib} MiB")))
}
