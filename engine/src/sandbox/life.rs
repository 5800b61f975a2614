//! A running machine: its agent, its end, and the ways to bring that about.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::client::GreetError;
use api::vm::client::{Client, ClientError};
use launch::{EndRecord, Folder};
use tokio::time::timeout;

use super::monitor::Monitor;
use crate::agent::Agent;

/// How long a monitor may take to answer, or to end its machine.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running machine with its agent. Cheap to clone; dropping it leaves the machine as it is.
#[derive(Clone, Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: Folder,
    monitor: Monitor,
    agent: Mutex<Agent>,
}

/// A machine could not be controlled.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Its monitor refuses or does not answer.
    #[error("Failed to {what} the machine {name}")]
    Monitor {
        /// What was asked for.
        what: &'static str,
        /// The machine.
        name: String,
        /// Why.
        source: ClientError,
    },
    /// The system does not let its monitor end.
    #[error("Failed to end the machine {0}: its monitor was killed and is still there")]
    Undead(String),
    /// The engine is ending.
    #[error("Failed to {what} the machine {name}: the engine is ending")]
    Ending {
        /// What was asked for.
        what: &'static str,
        /// The machine.
        name: String,
    },
}

impl Sandbox {
    pub(super) fn new(folder: Folder, monitor: Monitor, agent: Agent) -> Self {
        Self { shared: Arc::new(Shared { folder, monitor, agent: Mutex::new(agent) }) }
    }

    /// The id that it was started with.
    #[must_use]
    pub fn id(&self) -> &str {
        self.shared.folder.name()
    }

    /// Its folder on the host.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.shared.folder
    }

    /// The connection to its agent.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.shared.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects to its agent anew, for when the connection was lost and the machine was not.
    pub async fn reconnect(&self) -> Result<Agent, GreetError> {
        let agent = Agent::connect(&self.shared.folder.vsock_socket(), PATIENCE).await?;
        *self.shared.agent.lock().unwrap_or_else(PoisonError::into_inner) = agent.clone();
        Ok(agent)
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Arc<EndRecord> {
        self.shared.monitor.ended().await
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<Arc<EndRecord>> {
        self.shared.monitor.end()
    }

    /// The last lines of its console, without what would move a terminal's cursor.
    #[must_use]
    pub fn console(&self) -> String {
        super::console::last_lines(&self.shared.folder)
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

    /// Ends it without asking the guest.
    pub async fn kill(&self) -> Result<Arc<EndRecord>, ControlError> {
        // The monitor leaves things tidy, if it can.
        let stopped = async {
            self.ask("stop", Client::stop).await.ok()?;
            Some(self.ended().await)
        };
        if let Ok(Some(end)) = timeout(PATIENCE, stopped).await {
            return Ok(end);
        }
        self.shared.monitor.kill();
        let ended = timeout(PATIENCE, self.ended()).await;
        ended.map_err(|_| ControlError::Undead(self.id().to_owned()))
    }

    /// Stops its processors. Its agent does not answer until it is resumed.
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.ask("pause", Client::pause).await
    }

    /// Lets its processors go on.
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.ask("resume", Client::resume).await
    }

    /// Removes what it had on the host while it ran. To be called once it has ended.
    pub fn discard(&self) {
        self.shared.folder.remove();
    }

    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        act: impl FnOnce(&Client) -> Result<T, ClientError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let client = Client::new(self.shared.folder.api_socket()).with_timeout(PATIENCE);
        let name = || self.id().to_owned();
        match tokio::task::spawn_blocking(move || act(&client)).await {
            Ok(done) => done.map_err(|source| ControlError::Monitor { what, name: name(), source }),
            Err(_) => Err(ControlError::Ending { what, name: name() }),
        }
    }
}
