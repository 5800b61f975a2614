//! Making a container: nothing runs yet.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use bollard_stubs::models::{
    ContainerConfig, ContainerCreateBody, EndpointSettings, HostConfig, ImageConfig, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::live::Container;
use super::networks::NONE_ALONE;
use super::record::{ContainerRecord, Role, State};
use super::spec::{ContainerSpec, SpecError, discard, merge, refuse, refuse_endpoint};
use super::{ContainerError, Service, moment, names};
use crate::network::{HOST, NONE};

/// A container that was made.
#[derive(Debug)]
pub struct Created {
    /// It.
    pub container: Arc<Container>,
    /// What the user may want to know.
    pub warnings: Vec<String>,
}

impl Service {
    /// Makes a container of what a client asks for.
    pub async fn create(
        &self,
        name: Option<&str>,
        pod: Option<&str>,
        body: ContainerCreateBody,
    ) -> Result<Created, ContainerError> {
        let (mut config, mut host, mut endpoints) = split(body)?;
        let warnings = judge(&mut host, &endpoints)?;
        let wanted = config.image.clone().unwrap_or_default();
        let image = self.ground.images.find(&wanted);
        let image = image.map_err(|error| match error {
            image::StoreError::NoSuchImage(_) => ContainerError::NoImage(with_tag(&wanted)),
            error => ContainerError::Invalid(crate::http::error::chain(&error)),
        })?;
        // From here until the container is on the list nobody may remove the image.
        let hold = self.ground.images.hold(&image.id());
        let _hold = hold.map_err(|_| ContainerError::NoImage(with_tag(&wanted)))?;
        merge(&mut config, &image_defaults(&image))?;
        let role = match pod {
            Some(pod) => self.ground.find_pod(pod)?.take_in(&mut config, &mut host, &endpoints)?,
            None => Role::Alone,
        };
        let id = names::new_id()?;
        normalize(&id, &mut config, &mut host);
        let spec = ContainerSpec::read(&id, &config, &host)?;
        join_first(&spec.network, &mut endpoints);
        if endpoints.len() > 1 && endpoints.contains_key(NONE) {
            return Err(ContainerError::Invalid(NONE_ALONE.to_owned()));
        }
        let name = match name {
            Some(name) => {
                let name = names::checked(name)?;
                self.ground.reserve(&name, &id)?;
                name
            }
            None => self.ground.reserve_any(&id)?,
        };
        let made = async {
            let record = ContainerRecord {
                id: id.clone(),
                name: name.clone(),
                created_ns: moment::now_ns(),
                image: wanted,
                image_id: image.id().to_string(),
                mounts: self.decide_mounts(&id, &spec).await?,
                config,
                host_config: host,
                endpoints,
                state: State::default(),
                restart_count: 0,
                stopped_by_user: false,
                role,
            };
            self.write_down(record).await
        }
        .await;
        match made {
            Ok(container) => Ok(Created { container, warnings }),
            Err(error) => {
                self.ground.release(&name, &id);
                self.ground.volumes.release(&id, true).await;
                Err(error)
            }
        }
    }

    pub(super) async fn write_down(
        &self,
        record: ContainerRecord,
    ) -> Result<Arc<Container>, ContainerError> {
        let folder = self.ground.paths.container(&record.id);
        let what = format!("Failed to make {}", folder.display());
        std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(ContainerError::io(what))?;
        let container = Container::new(Arc::clone(&self.ground), record)?;
        if let Err(error) = container.change(|_| ()).await {
            // The error that is told is why; an empty folder does no harm.
            let _ = std::fs::remove_dir(&folder);
            return Err(error);
        }
        self.ground.add(Arc::clone(&container));
        container.emit("create", &[]);
        Ok(container)
    }
}

/// The name with the tag that stands for none, as Docker's message has it.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}

type Parts = (ContainerConfig, HostConfig, Endpoints);

/// Networks by name or id, and how a container is on them.
type Endpoints = HashMap<String, EndpointSettings>;

/// A create body is a container's configuration with two more fields.
fn split(mut body: ContainerCreateBody) -> Result<Parts, ContainerError> {
    let host = body.host_config.take().unwrap_or_default();
    let endpoints = body.networking_config.take().and_then(|config| config.endpoints_config);
    let config = serde_json::to_value(&body).and_then(serde_json::from_value);
    let config = config.map_err(|error| SpecError::Invalid(error.to_string()))?;
    Ok((config, host, endpoints.unwrap_or_default()))
}

/// Refuses what cannot be had, and warns of what is discarded.
fn judge(host: &mut HostConfig, endpoints: &Endpoints) -> Result<Vec<String>, SpecError> {
    refuse(host)?;
    endpoints.values().try_for_each(refuse_endpoint)?;
    Ok(discard(host))
}

/// The network that it is on first is one like the others, which it can be taken off.
fn join_first(network: &str, endpoints: &mut Endpoints) {
    let settings = endpoints.remove("default").unwrap_or_default();
    if network != HOST && !network.starts_with("container:") {
        endpoints.entry(network.to_owned()).or_insert(settings);
    }
}

/// The image's defaults as Docker's type.
pub(super) fn image_defaults(image: &image::Image) -> ImageConfig {
    let config = serde_json::to_value(&image.config().config);
    // What an image says that is no configuration says nothing.
    config.and_then(serde_json::from_value).unwrap_or_default()
}

/// Writes out defaults that clients look for in `inspect`.
fn normalize(id: &str, config: &mut ContainerConfig, host: &mut HostConfig) {
    if config.hostname.as_deref().unwrap_or_default().is_empty() {
        config.hostname = Some(names::short_id(id).to_owned());
    }
    let network = host.network_mode.get_or_insert_default();
    if network.is_empty() || network == "default" {
        "bridge".clone_into(network);
    }
    let log = host.log_config.get_or_insert_default();
    if log.typ.as_deref().unwrap_or_default().is_empty() {
        log.typ = Some("json-file".to_owned());
    }
    log.config.get_or_insert_default();
    if host.shm_size.unwrap_or_default() == 0 {
        host.shm_size = Some(64 << 20);
    }
    if host.ipc_mode.as_deref().unwrap_or_default().is_empty() {
        host.ipc_mode = Some("private".to_owned());
    }
    let policy = host.restart_policy.get_or_insert_with(RestartPolicy::default);
    if policy.name.is_none_or(|name| name == RestartPolicyNameEnum::EMPTY) {
        policy.name = Some(RestartPolicyNameEnum::NO);
        policy.maximum_retry_count.get_or_insert(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_tag_mean_the_latest() {
        assert_eq!(with_tag("busybox"), "busybox:latest");
        assert_eq!(with_tag("localhost:5000/a"), "localhost:5000/a:latest");
        assert_eq!(with_tag("a:1"), "a:1");
        assert_eq!(with_tag("a@sha256:0"), "a@sha256:0");
    }

    #[test]
    fn a_body_is_a_configuration_and_more() {
        let body = r#"{"Image":"a","Cmd":["b"],"Tty":true,"ExposedPorts":{"80/tcp":{}},
            "HostConfig":{"AutoRemove":true},
            "NetworkingConfig":{"EndpointsConfig":{"front":{"Aliases":["web"]}}}}"#;
        let (config, host, endpoints) = split(serde_json::from_str(body).unwrap()).unwrap();
        assert_eq!(config.cmd, Some(vec!["b".to_owned()]));
        assert_eq!(config.exposed_ports, Some(vec!["80/tcp".to_owned()]));
        assert_eq!(host.auto_remove, Some(true));
        assert!(endpoints.contains_key("front"));
    }
}
