//! Finding containers again that an earlier engine left, and starting those that start by
//! themselves.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use agent_protocol::message::{ContainerState, ContainerStatus, ListContainers, Reply, Request};

use futures_util::future::join_all;

use super::RemoveOptions;
use super::supervise::{End, Pumps, supervise};
use crate::agent::within;
use crate::container::cards::keep_plugged_in;
use crate::container::live::{Container, Run};
use crate::container::machine::Machine;
use crate::container::record::Phase;
use crate::container::{ContainerError, Service};
use crate::http::error::chain;

/// A guest that greets and then does not tell of its containers in so long has none: nobody is
/// served before all have been asked, and all machines of a host may be asked at once.
const ANSWER: Duration = Duration::from_secs(60);

impl Service {
    /// Compares what is written down with what there is: machines that run are looked after
    /// again, those without a container are ended but `others`, and containers without a machine
    /// have ended. To be called once, before clients are served.
    pub async fn adopt(&self, others: Vec<String>) -> Result<(), ContainerError> {
        let all = self.all();
        for container in &all {
            self.claim_again(&container.record()).await;
        }
        self.sweep();
        let up: Vec<_> = all.iter().filter(|container| container.phase().is_up()).collect();
        let pods = self.ground.pods();
        let open: Vec<_> = pods.iter().filter(|pod| pod.phase().is_up()).cloned().collect();
        let kept = up.iter().copied().chain(&open).map(|container| container.id.as_str());
        let kept = kept.chain(others.iter().map(String::as_str));
        let ended = self.ground.sandboxes.end_others(kept).await;
        for name in ended.map_err(|error| ContainerError::Machine(chain(&error)))? {
            log::info!("ended the machine {name}, which belonged to nothing");
        }
        // At once, as each may have to be waited for.
        join_all(open.iter().map(|pod| pod.find_pod_again())).await;
        for pod in pods.into_iter().filter(|pod| pod.phase() == Phase::Removing) {
            let service = self.clone();
            tokio::spawn(async move {
                if let Err(error) = service.remove_pod(&pod, true).await {
                    log::warn!("pod {}: {error}", pod.id);
                }
            });
        }
        join_all(up.iter().map(|container| container.find_again())).await;
        self.free_places().await;
        // The switch may have gone while there was no engine.
        tokio::spawn(keep_plugged_in(Arc::downgrade(&self.ground)));
        for container in all {
            container.resume_life();
        }
        Ok(())
    }
}

impl Service {
    /// A place on a network that an engine took for a machine, and that did not live to start it,
    /// is free again.
    async fn free_places(&self) {
        for id in self.ground.networks.members().await {
            let home = self.ground.find(&id).ok().or_else(|| self.ground.pod(&id));
            if home.is_some_and(|home| home.home_machine().is_some()) {
                continue;
            }
            if let Err(error) = self.ground.networks.detach_all(&id).await {
                log::error!("container {id}: {}", chain(&error));
            }
        }
    }

    /// Removes what an engine left that was killed while it made a container or a disk. Each is
    /// written down last when it is made, and is off the record last when it is removed.
    fn sweep(&self) {
        let folders = match std::fs::read_dir(self.ground.paths.containers()) {
            Ok(folders) => folders,
            Err(error) => return log::warn!("Failed to look for containers' folders: {error}"),
        };
        for folder in folders.flatten() {
            let id = folder.file_name().to_string_lossy().into_owned();
            // A record that cannot be read is one all the same.
            if matches!(self.ground.table.get(&id), Ok(None)) {
                log::info!("removing {}, which belongs to no container", folder.path().display());
                if let Err(error) = std::fs::remove_dir_all(folder.path()) {
                    log::warn!("Failed to remove {}: {error}", folder.path().display());
                }
            }
        }
        self.ground.disks.sweep();
    }
}

impl Container {
    /// Looks after its machine again, or writes down that it ended.
    async fn find_again(self: &Arc<Self>) {
        match self.adopt_run().await {
            Ok(Some((run, mut pumps))) => {
                self.set_run(Some(Arc::clone(&run)));
                pumps.open_input(&self.streams);
                tokio::spawn(supervise(Arc::clone(self), run, pumps));
            }
            Ok(None) => self.ended_unseen("the engine was not there when it ended").await,
            Err(error) => {
                log::warn!("container {}: {error}", self.id);
                self.ended_unseen(&error.to_string()).await;
            }
        }
    }

    async fn adopt_run(&self) -> Result<Option<(Arc<Run>, Pumps)>, ContainerError> {
        let pod = self.pod();
        let home = pod.as_deref().unwrap_or(self);
        let Some(machine) = home.find_machine().await? else { return Ok(None) };
        let Some(status) = self.status_in(&machine).await? else { return Ok(None) };
        if status.session == 0 {
            // Made, but not started: the engine went before.
            return Ok(None);
        }
        let paused = status.state() == ContainerState::Paused;
        let pumps = self.connect_streams(&machine, status.session).await?;
        // It runs, whether that can be written down or not.
        self.note(|record| {
            record.state.phase = if paused { Phase::Paused } else { Phase::Running };
            record.state.pid = status.pid;
        })
        .await;
        let ending = AtomicBool::new(self.with_record(|record| record.stopped_by_user));
        let began = tokio::time::Instant::now();
        let run = Run { machine, session: status.session, began, ending };
        Ok(Some((Arc::new(run), pumps)))
    }

    async fn status_in(
        &self,
        machine: &Machine,
    ) -> Result<Option<ContainerStatus>, ContainerError> {
        let agent = machine.agent();
        let reply = agent.request(Request::ListContainers(ListContainers {}));
        match within(ANSWER, reply).await.map_err(|error| ContainerError::Machine(chain(&error)))? {
            Reply::Containers(list) => {
                Ok(list.containers.into_iter().find(|status| status.id == self.id))
            }
            _ => Ok(None),
        }
    }

    /// It ended while there was no engine.
    async fn ended_unseen(&self, why: &str) {
        self.clear_out().await;
        let End { code, .. } = End::lost(why);
        self.note(|record| {
            // One that waited for another start had an end already.
            if record.state.phase != Phase::Restarting {
                record.state.exit_code = code;
                record.state.error = why.to_owned();
                record.state.finished_ns = crate::container::moment::now_ns();
            }
            record.state.phase = Phase::Exited;
            record.state.pid = 0;
        })
        .await;
        self.emit("die", &[("exitCode", code.to_string())]);
    }

    /// Nothing of a run that is over stays in a machine.
    async fn clear_out(&self) {
        if let Some(pod) = self.pod() {
            if let Some(machine) = pod.home_machine() {
                machine.delete(&self.id).await;
            }
            return;
        }
        self.close().await;
        if let Err(error) = self.ground.sandboxes.end(&self.id).await {
            log::error!("container {}: {}", self.id, chain(&error));
        }
    }

    /// Finds a pod's machine again, or writes down that it ended.
    async fn find_pod_again(&self) {
        let why = match self.find_machine().await {
            Ok(Some(_)) => return,
            Ok(None) => "the engine was not there when it ended".to_owned(),
            Err(error) => error.to_string(),
        };
        self.clear_out().await;
        self.pod_closed(&why).await;
    }

    /// Does what was to come: removal, or a start.
    pub(super) fn resume_life(self: &Arc<Self>) {
        let (phase, stopped, volumes) = self.with_record(|record| {
            (record.state.phase, record.stopped_by_user, record.state.remove_volumes)
        });
        if phase.is_up() {
            return;
        }
        let spec = self.spec();
        let ran = phase != Phase::Created;
        let container = Arc::clone(self);
        if phase == Phase::Removing || (spec.auto_remove && ran) {
            let volumes = volumes || spec.auto_remove;
            tokio::spawn(async move {
                let options = RemoveOptions { volumes, force: false };
                if let Err(error) = container.remove(options).await {
                    log::warn!("container {}: {error}", container.id);
                }
            });
        } else if ran && spec.restart.applies_at_engine_start(stopped) {
            tokio::spawn(async move {
                if let Err(error) = container.start().await {
                    log::warn!("container {}: {error}", container.id);
                }
            });
        }
    }
}
