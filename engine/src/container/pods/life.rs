//! Starting, stopping and removing pods.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::container::life::RemoveOptions;
use crate::container::live::Container;
use crate::container::record::Phase;
use crate::container::spec::signal;
use crate::container::{ContainerError, Service};

/// What may be done with several containers at once.
type Done = Result<(), ContainerError>;

impl Container {
    /// Starts a pod's machine, if it does not run, and all its containers.
    ///
    /// # Errors
    ///
    /// The first failure; the other containers are started all the same.
    pub async fn start_pod(self: &Arc<Self>) -> Done {
        let _operation = self.operation.lock().await;
        if matches!(self.phase(), Phase::Removing | Phase::Dead) {
            return Err(ContainerError::NoPod(self.id.clone()));
        }
        let was_open = self.home_machine().is_some();
        self.enter(self).await?;
        if !was_open {
            self.emit("start", &[]);
        }
        self.each(|member| async move { member.start().await }).await
    }

    /// Stops a pod's containers, each by its signal and within `timeout` (else its own), and ends
    /// the machine.
    pub async fn stop_pod(self: &Arc<Self>, timeout: Option<Option<Duration>>) -> Done {
        let _operation = self.operation.lock().await;
        self.require_running()?;
        let stopped =
            self.each(move |member| async move { member.stop(None, timeout).await }).await;
        self.end_pod().await;
        stopped
    }

    /// Stops it, if it runs, and starts it.
    pub async fn restart_pod(self: &Arc<Self>, timeout: Option<Option<Duration>>) -> Done {
        if self.phase() == Phase::Running {
            match self.stop_pod(timeout).await {
                // It may have ended meanwhile.
                Ok(()) | Err(ContainerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.start_pod().await
    }

    /// Freezes all its containers that run.
    pub async fn pause_pod(self: &Arc<Self>) -> Done {
        let _operation = self.operation.lock().await;
        self.require_running()?;
        let paused = self.each(|member| async move {
            if member.phase() == Phase::Running { member.pause().await } else { Ok(()) }
        });
        paused.await
    }

    /// Lets all its containers go on that are frozen.
    pub async fn unpause_pod(self: &Arc<Self>) -> Done {
        let _operation = self.operation.lock().await;
        self.require_running()?;
        let unpaused = self.each(|member| async move {
            if member.phase() == Phase::Paused { member.unpause().await } else { Ok(()) }
        });
        unpaused.await
    }

    /// Sends a signal to the first processes of all its containers; `SIGKILL` ends the machine.
    pub async fn kill_pod(self: &Arc<Self>, number: u32) -> Done {
        let _operation = self.operation.lock().await;
        self.require_running()?;
        let killed = self
            .each(move |member| async move {
                if member.phase().is_up() { member.kill(number).await } else { Ok(()) }
            })
            .await;
        if number == signal::KILL {
            self.end_pod().await;
        }
        killed
    }

    async fn end_pod(&self) {
        self.close().await;
        self.pod_closed("").await;
        self.emit("stop", &[]);
    }

    fn require_running(&self) -> Done {
        if self.phase() == Phase::Running {
            return Ok(());
        }
        Err(ContainerError::Conflict(format!("pod {} is not running", self.name())))
    }

    /// Does the same with all its containers at once. The first failure is the outcome.
    async fn each<F: Future<Output = Done> + Send + 'static>(
        &self,
        act: impl Fn(Arc<Self>) -> F,
    ) -> Done {
        let mut acting = JoinSet::new();
        for member in self.members() {
            acting.spawn(act(member));
        }
        let mut outcome = Ok(());
        while let Some(done) = acting.join_next().await {
            match done.unwrap_or_else(|error| Err(ContainerError::Machine(error.to_string()))) {
                Ok(()) | Err(ContainerError::Unchanged | ContainerError::NotFound(_)) => {}
                Err(error) if outcome.is_ok() => outcome = Err(error),
                Err(error) => log::warn!("pod {}: {error}", self.id),
            }
        }
        outcome
    }
}

impl Service {
    /// Removes a pod and its containers; by `force` also if it runs.
    pub async fn remove_pod(&self, pod: &Arc<Container>, force: bool) -> Done {
        if pod.phase().is_up() {
            if !force {
                let name = pod.name();
                let text = format!("pod {name} is running: stop it before, or remove it by force");
                return Err(ContainerError::Conflict(text));
            }
            match pod.kill_pod(signal::KILL).await {
                // It may have ended meanwhile.
                Ok(()) | Err(ContainerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let options = RemoveOptions { volumes: true, force: true };
        for member in pod.members() {
            match self.remove(&member, options).await {
                // Somebody else was faster.
                Ok(()) | Err(ContainerError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        pod.remove(RemoveOptions { volumes: true, force: false }).await
    }
}
