//! Freezing a container and letting it go on.

use std::future::Future;

use agent_protocol::message::{ContainerRef, Request};

use crate::agent::AgentError;
use crate::container::ContainerError;
use crate::container::live::Container;
use crate::container::record::Phase;
use crate::http::error::chain;

impl Container {
    /// Freezes all its processes.
    pub async fn pause(&self) -> Result<(), ContainerError> {
        let _operation = self.operation.lock().await;
        match self.phase() {
            Phase::Running => {}
            Phase::Paused => {
                let text = format!("Container {} is already paused", self.id);
                return Err(ContainerError::Conflict(text));
            }
            Phase::Restarting => {
                let text = format!(
                    "Container {} is restarting, wait until the container is running",
                    self.id
                );
                return Err(ContainerError::Conflict(text));
            }
            _ => {
                let text = format!("Container {} is not running", self.id);
                return Err(ContainerError::Conflict(text));
            }
        }
        self.freeze().await?;
        self.change(|record| record.state.phase = Phase::Paused).await?;
        self.emit("pause", &[]);
        Ok(())
    }

    /// Lets them go on.
    pub async fn unpause(&self) -> Result<(), ContainerError> {
        let _operation = self.operation.lock().await;
        if self.phase() != Phase::Paused {
            let text = format!("Container {} is not paused", self.id);
            return Err(ContainerError::Conflict(text));
        }
        self.resume().await?;
        self.change(|record| record.state.phase = Phase::Running).await?;
        self.emit("unpause", &[]);
        Ok(())
    }

    /// Does `work` while it is frozen, if it runs. Nobody else freezes it or lets it go on
    /// meanwhile, and it goes on whatever comes of the work.
    pub(in crate::container) async fn frozen<T>(
        &self,
        work: impl Future<Output = Result<T, ContainerError>>,
    ) -> Result<T, ContainerError> {
        let _operation = self.operation.lock().await;
        if self.phase() != Phase::Running {
            return work.await;
        }
        self.freeze().await?;
        let done = work.await;
        if let Err(error) = self.resume().await {
            log::warn!("container {} was frozen, and may still be: {error}", self.id);
        }
        done
    }

    async fn freeze(&self) -> Result<(), ContainerError> {
        let id = ContainerRef { id: self.id.clone() };
        let agent = self.running()?.machine.agent();
        let paused = agent.act_at_once(Request::PauseContainer(id.clone())).await;
        if matches!(paused, Err(AgentError::Late(_))) {
            // It may still be frozen, when nobody expects it any more.
            tokio::spawn(async move { agent.act_at_once(Request::ResumeContainer(id)).await });
        }
        paused.map_err(|error| ContainerError::Machine(chain(&error)))
    }

    async fn resume(&self) -> Result<(), ContainerError> {
        let id = ContainerRef { id: self.id.clone() };
        let agent = self.running()?.machine.agent();
        let resumed = agent.act_at_once(Request::ResumeContainer(id)).await;
        resumed.map_err(|error| ContainerError::Machine(chain(&error)))
    }
}
