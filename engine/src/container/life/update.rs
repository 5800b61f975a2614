//! Changing a container's limits and restart policy.

use agent_protocol::message::{Request, UpdateContainer};
use bollard_stubs::models::{ContainerUpdateBody, HostConfig};

use crate::container::ContainerError;
use crate::container::live::Container;
use crate::container::spec::{SpecError, discard, refuse};
use crate::http::error::chain;

impl Container {
    /// Takes over what is set in `body`; what warnings that gives.
    pub async fn update(&self, body: ContainerUpdateBody) -> Result<Vec<String>, ContainerError> {
        let mut asked = asked(&body)?;
        refuse(&asked)?;
        let mut warnings = discard(&mut asked);
        let _operation = self.operation.lock().await;
        let old = self.with_record(|record| record.host_config.clone());
        let mut new = old.clone();
        take_over(&mut new, body);
        let machine = self.spec().machine;
        self.change(|record| record.host_config = new).await?;
        let applied = match self.read_spec() {
            Ok(()) => self.apply_limits().await,
            Err(error) => Err(error),
        };
        if let Err(error) = applied {
            self.change(|record| record.host_config = old).await?;
            self.read_spec()?;
            // Some may have been set before the one that could not be. The error that is told is
            // the first.
            let _ = self.apply_limits().await;
            return Err(error);
        }
        let size = self.spec().machine;
        let larger = size.memory_mib > machine.memory_mib || size.cpus > machine.cpus;
        if larger && self.run().is_some() {
            let text = "The machine of a running container keeps its size: a larger limit takes \
                        effect at the next start.";
            warnings.push(text.to_owned());
        }
        self.emit("update", &[]);
        Ok(warnings)
    }

    /// Gives its limits to its machine, if it has one.
    async fn apply_limits(&self) -> Result<(), ContainerError> {
        let Some(run) = self.run() else { return Ok(()) };
        let (id, resources) = (self.id.clone(), Some(self.spec().limits));
        let update = Request::UpdateContainer(UpdateContainer { id, resources });
        let updated = run.machine.agent().act_at_once(update).await;
        updated.map_err(|error| ContainerError::Machine(chain(&error)))
    }
}

/// A body of changes has the fields that one has that makes a container.
fn asked(body: &ContainerUpdateBody) -> Result<HostConfig, ContainerError> {
    let host = serde_json::to_value(body).and_then(serde_json::from_value);
    host.map_err(|error| SpecError::Invalid(error.to_string()).into())
}

/// Zero, empty and missing mean that it stays.
fn take_over(host: &mut HostConfig, body: ContainerUpdateBody) {
    let number = |old: &mut Option<i64>, new: Option<i64>| {
        if new.unwrap_or_default() != 0 {
            *old = new;
        }
    };
    number(&mut host.cpu_shares, body.cpu_shares);
    number(&mut host.memory, body.memory);
    number(&mut host.memory_swap, body.memory_swap);
    number(&mut host.memory_reservation, body.memory_reservation);
    number(&mut host.cpu_period, body.cpu_period);
    number(&mut host.cpu_quota, body.cpu_quota);
    number(&mut host.nano_cpus, body.nano_cpus);
    number(&mut host.pids_limit, body.pids_limit);
    if body.cpuset_cpus.as_deref().is_some_and(|set| !set.is_empty()) {
        host.cpuset_cpus = body.cpuset_cpus;
    }
    let named = body.restart_policy.filter(|policy| {
        policy.name.is_some_and(|name| name != bollard_stubs::models::RestartPolicyNameEnum::EMPTY)
    });
    if named.is_some() {
        host.restart_policy = named;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays() {
        let mut host = HostConfig { memory: Some(7), cpu_shares: Some(5), ..Default::default() };
        let body = r#"{"Memory":0,"CpuShares":9,"RestartPolicy":{"Name":""}}"#;
        take_over(&mut host, serde_json::from_str(body).unwrap());
        assert_eq!((host.memory, host.cpu_shares), (Some(7), Some(9)));
        assert_eq!(host.restart_policy, None);
    }
}
