//! Ending a container: stop, kill, restart.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::message::{ContainerRef, Request, SignalContainer};

use crate::agent::{AgentError, within};
use crate::container::ContainerError;
use crate::container::live::{Container, Run};
use crate::container::record::Phase;
use crate::container::spec::signal;
use crate::http::error::chain;

/// A killed process that is not gone by then has hung its kernel; its machine is ended.
const KILLED: Duration = Duration::from_secs(10);
/// So is that of an agent that has not killed it by then.
const KILLS: Duration = Duration::from_secs(5);

impl Container {
    /// Asks it to end by `signal` (else the one it was made with), and ends it after `timeout`
    /// (else the time it was made with; none waits for ever).
    ///
    /// # Errors
    ///
    /// [`ContainerError::Unchanged`] where it does not run.
    pub async fn stop(
        self: &Arc<Self>,
        signal: Option<u32>,
        timeout: Option<Option<Duration>>,
    ) -> Result<(), ContainerError> {
        let spec = self.spec();
        if !self.phase().is_up() {
            return Err(ContainerError::Unchanged);
        }
        self.note(|record| record.stopped_by_user = true).await;
        let Some(run) = self.run_or_rest().await else { return Ok(()) };
        run.set_ending();
        let signal = signal.unwrap_or(spec.stop_signal);
        let timeout = timeout.unwrap_or(spec.stop_timeout);
        // A guest that does not answer has no more time than others.
        let ended = tokio::select! {
            biased;
            never = self.ask_to_end(&run, signal) => never,
            ended = self.ends_within(&run, timeout) => ended,
        };
        if !ended {
            self.end_by_force(&run).await;
        }
        self.await_rest().await;
        self.emit("stop", &[]);
        Ok(())
    }

    /// Sends a signal; `SIGKILL` also waits for the end. Whether it is to start again after the
    /// signal that ends it is told by [`Self::ends_by`].
    pub async fn kill(self: &Arc<Self>, signal: u32) -> Result<(), ContainerError> {
        let not_running = || {
            let id = &self.id;
            let text = format!("cannot kill container: {id}: container {id} is not running");
            ContainerError::Conflict(text)
        };
        let ends = self.ends_by(signal);
        let run = match self.run() {
            Some(run) => run,
            // Between two runs there is nobody to get it.
            None if self.phase() == Phase::Restarting && !ends => return Ok(()),
            None if self.phase() == Phase::Restarting => {
                self.note(|record| record.stopped_by_user = true).await;
                let Some(run) = self.run_or_rest().await else { return Ok(()) };
                run
            }
            None => return Err(not_running()),
        };
        if ends {
            run.set_ending();
            self.note(|record| record.stopped_by_user = true).await;
        }
        if signal == signal::KILL {
            self.end_by_force(&run).await;
            self.await_rest().await;
            return Ok(());
        }
        match self.send(&run, signal).await {
            Ok(()) if ends => self.thaw(&run).await,
            // It ended while the signal was on its way.
            Ok(()) | Err(AgentError::Lost) => {}
            Err(error) => return Err(ContainerError::Machine(chain(&error))),
        }
        Ok(())
    }

    /// Whether a user who sends this signal wants it to end, and so not to start again by itself:
    /// Docker takes any for that where no signal to stop by was chosen, else that one. Reloads by
    /// `SIGHUP` leave the restart policy alone where one was.
    pub(super) fn ends_by(&self, signal: u32) -> bool {
        let chosen = self.with_record(|record| {
            record.config.stop_signal.as_ref().is_some_and(|signal| !signal.is_empty())
        });
        signal == signal::KILL || !chosen || signal == self.spec().stop_signal
    }

    /// Stops it, if it runs, and starts it.
    pub async fn restart(
        self: &Arc<Self>,
        signal: Option<u32>,
        timeout: Option<Option<Duration>>,
    ) -> Result<(), ContainerError> {
        match self.stop(signal, timeout).await {
            Ok(()) | Err(ContainerError::Unchanged) => {}
            Err(error) => return Err(error),
        }
        match self.start().await {
            Ok(()) | Err(ContainerError::Unchanged) => {}
            Err(error) => return Err(error),
        }
        self.emit("restart", &[]);
        Ok(())
    }

    /// Sends the signal to end by, and nothing more.
    async fn ask_to_end<T>(&self, run: &Run, signal: u32) -> T {
        if let Err(error) = self.send(run, signal).await {
            log::debug!("container {}: {error}", self.id);
        }
        self.thaw(run).await;
        std::future::pending().await
    }

    /// Kills all of it, and its machine if that does not help.
    async fn end_by_force(&self, run: &Arc<Run>) {
        let killing = within(KILLS, async {
            self.send(run, signal::KILL).await?;
            self.thaw(run).await;
            Ok(())
        });
        let ended = self.ends_within(run, Some(KILLED));
        tokio::pin!(ended);
        let ended = tokio::select! {
            ended = &mut ended => ended,
            killed = killing => match killed {
                Err(AgentError::Late(_)) => false,
                Ok(()) => ended.await,
                Err(error) => {
                    log::debug!("container {}: {error}", self.id);
                    ended.await
                }
            },
        };
        if !ended {
            log::warn!("container {} does not end: its machine is ended", self.id);
            run.machine.shut_down(&self.id).await;
            self.ends_within(run, None).await;
        }
    }

    async fn send(&self, run: &Run, signal: u32) -> Result<(), AgentError> {
        let message = SignalContainer { id: self.id.clone(), signal, all: false };
        let sent = run.machine.agent().act_at_once(Request::SignalContainer(message)).await;
        if sent.is_ok() {
            self.emit("kill", &[("signal", signal.to_string())]);
        }
        sent
    }

    /// A frozen process takes no signal but SIGKILL.
    async fn thaw(&self, run: &Run) {
        if self.phase() != Phase::Paused {
            return;
        }
        // First, as it may end as soon as it goes on.
        let noted = self.change(|record| {
            let paused = record.state.phase == Phase::Paused;
            if paused {
                record.state.phase = Phase::Running;
            }
            paused
        });
        if matches!(noted.await, Ok(true)) {
            self.emit("unpause", &[]);
        }
        let resume = Request::ResumeContainer(ContainerRef { id: self.id.clone() });
        if let Err(error) = run.machine.agent().act_at_once(resume).await {
            log::debug!("container {}: {error}", self.id);
        }
    }

    /// Waits for the end of `run`; none waits for ever.
    async fn ends_within(&self, run: &Arc<Run>, limit: Option<Duration>) -> bool {
        let mut progress = self.progress.subscribe();
        let over =
            |container: &Self| container.run().is_none_or(|current| !Arc::ptr_eq(&current, run));
        let ended = async {
            let before = {
                // Under this lock the run is taken away and its end counted.
                let now = progress.borrow_and_update();
                if over(self) {
                    return;
                }
                now.ends
            };
            // An error means that the container itself is gone.
            let _ = progress.wait_for(|progress| progress.ends != before).await;
        };
        match limit {
            Some(limit) => tokio::time::timeout(limit, ended).await.is_ok(),
            None => {
                ended.await;
                true
            }
        }
    }

    /// Its run; none once it has given up to be started again. To be called when it is written
    /// down that a user ended it. A start that is under way goes to its end first.
    pub(super) async fn run_or_rest(&self) -> Option<Arc<Run>> {
        if self.run().is_none() {
            self.await_rest().await;
        }
        self.run()
    }

    /// Has a container that waits for another start give that up.
    async fn await_rest(&self) {
        let mut progress = self.progress.subscribe();
        self.give_up.notify_one();
        // An error means that the container itself is gone.
        let _ = progress.wait_for(|progress| progress.phase != Phase::Restarting).await;
    }

    /// Done when a user wants no other start. Somebody may have asked for that when it was too
    /// late, in an earlier run.
    pub(super) async fn given_up(&self) {
        loop {
            self.give_up.notified().await;
            if self.with_record(|record| record.stopped_by_user) {
                return;
            }
        }
    }
}
