//! A running machine with its agent.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::client::GreetError;
use launch::EndRecord;
use tokio::time::timeout;

use super::vm::PATIENCE;
use super::{ControlError, Vm};
use crate::agent::Agent;

/// A running machine with its agent. Cheap to clone; dropping it leaves the machine as it is.
#[derive(Clone, Debug)]
pub struct Sandbox {
    vm: Vm,
    agent: Arc<Mutex<Agent>>,
}

impl Deref for Sandbox {
    type Target = Vm;

    fn deref(&self) -> &Vm {
        &self.vm
    }
}

impl Sandbox {
    pub(super) fn new(vm: Vm, agent: Agent) -> Self {
        Self { vm, agent: Arc::new(Mutex::new(agent)) }
    }

    /// The connection to its agent.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects to its agent anew, for when the connection was lost and the machine was not.
    pub async fn reconnect(&self) -> Result<Agent, GreetError> {
        let agent = Agent::connect(&self.folder().vsock_socket(), PATIENCE).await?;
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = agent.clone();
        Ok(agent)
    }

    /// Has the guest write out its disks and power off; ends it when it has not by `limit`.
    pub async fn power_off(&self, limit: Duration) -> Result<Arc<EndRecord>, ControlError> {
        let asked = async {
            match self.agent().power_off().await {
                Ok(()) => Some(self.ended().await),
                Err(_) => None,
            }
        };
        match timeout(limit, asked).await {
            Ok(Some(end)) => Ok(end),
            _ => self.kill().await,
        }
    }
}
