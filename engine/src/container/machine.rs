//! The machine around a container: what the sandbox is asked for, and its agent.

use std::time::Duration;

use agent_protocol::message::{ContainerRef, FailureKind, Request};

use super::ContainerError;
use crate::agent::{Agent, AgentError};
use crate::sandbox::{Sandbox, Vm};

/// Writing out a container's changes may take so long.
const WRITE_OUT: Duration = Duration::from_secs(60);

/// A running machine.
#[derive(Clone, Debug)]
pub struct Machine {
    sandbox: Sandbox,
}

impl Machine {
    /// Of a sandbox that has started or was found again.
    pub(super) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    /// The agent in it.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.sandbox.agent()
    }

    /// The machine as such.
    #[must_use]
    pub fn vm(&self) -> Vm {
        Vm::clone(&self.sandbox)
    }

    /// Waits for its end, and says how that came.
    pub async fn ended(&self) -> String {
        self.sandbox.ended().await.message.clone()
    }

    /// Which of its network cards are taps; the others are ports of the switch.
    pub(super) fn taps(&self) -> Result<Vec<bool>, ContainerError> {
        let cards = self.sandbox.cards();
        let cards =
            cards.map_err(|error| ContainerError::Machine(crate::http::error::chain(&error)))?;
        Ok(cards.iter().map(|card| card.is_tap).collect())
    }

    /// Plugs its cards in again.
    pub(super) async fn plug_in_cards(&self) -> Result<(), ContainerError> {
        let plugged_in = self.sandbox.plug_in_cards().await;
        plugged_in.map_err(|error| ContainerError::Machine(crate::http::error::chain(&error)))
    }

    /// Connects to its agent anew.
    pub(super) async fn reconnect(&self) -> Result<Agent, ContainerError> {
        let agent = self.sandbox.reconnect().await;
        agent.map_err(|error| ContainerError::Machine(crate::http::error::chain(&error)))
    }

    /// Takes the container `id` away: what it wrote goes to its disk and its volumes.
    pub(super) async fn delete(&self, id: &str) {
        let delete = Request::DeleteContainer(ContainerRef { id: id.to_owned() });
        match tokio::time::timeout(WRITE_OUT, self.agent().act(delete)).await {
            Ok(Ok(()) | Err(AgentError::Lost)) => {}
            Ok(Err(error)) if error.kind() == Some(FailureKind::NoSuchContainer) => {}
            Ok(Err(error)) => log::warn!("container {id}: its changes: {error}"),
            Err(_) => log::warn!("container {id}: its changes were not written out in time"),
        }
    }

    /// Ends it at once. `id` is whose it was.
    pub(super) async fn shut_down(&self, id: &str) {
        if let Err(error) = self.sandbox.kill().await {
            log::error!("container {id}: {error}");
        }
        self.sandbox.discard();
    }
}

/// An agent's failure in Docker's words. `program` is what was to be run, if that may be why.
pub(super) fn refused(error: AgentError, program: Option<&str>) -> ContainerError {
    let quoted = program.unwrap_or_default();
    let text = error.to_string();
    let (code, why) = match error.kind() {
        Some(FailureKind::ProgramNotFound) if quoted.contains('/') => {
            (127, "stat: no such file or directory")
        }
        Some(FailureKind::ProgramNotFound) => (127, "executable file not found in $PATH"),
        Some(FailureKind::NotExecutable) => (126, "permission denied"),
        Some(FailureKind::NoSuchUser) => {
            let text = format!("unable to find user: {text}: no matching entries in passwd file");
            return ContainerError::Program { message: text, code: 126 };
        }
        Some(FailureKind::WorkingDirectory) => (126, "chdir to cwd: permission denied"),
        _ => return ContainerError::Machine(crate::http::error::chain(&error)),
    };
    let message = format!("exec: \"{quoted}\": {why}: {text}");
    ContainerError::Program { message, code }
}
