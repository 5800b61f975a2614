//! Probing a container's health.
//!
//! ```text
//!   starting ──success──► healthy ◄──success──┐
//!      └──`retries` failures in a row──► unhealthy
//! ```
//!
//! While the start period lasts failures are not counted, and until the first success probes are
//! a start interval apart.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::message::{Exec, Request, Signal, Stdio};
use bollard_stubs::models::{Health, HealthStatusEnum, HealthcheckResult};
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::live::{Container, Run, lock};
use super::spec::HealthSpec;
use super::{moment, names};
use crate::agent::{AgentError, Output, within};

/// Probes that are remembered.
const REMEMBERED: usize = 5;
/// Output of a probe that is remembered.
const OUTPUT: u64 = 4096;
/// `SIGKILL`.
const KILL: u32 = 9;
/// The end of a probe that was killed is waited for that long.
const KILLED: Duration = Duration::from_secs(5);

/// What is known of a container's health.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthState {
    /// The verdict.
    pub status: HealthStatusEnum,
    /// Failures in a row.
    pub failing: u32,
    /// The last probes, oldest first.
    pub log: Vec<HealthcheckResult>,
}

impl Default for HealthState {
    fn default() -> Self {
        Self { status: HealthStatusEnum::STARTING, failing: 0, log: Vec::new() }
    }
}

impl HealthState {
    /// Takes a probe's result in; tells whether the verdict changed.
    fn note(&mut self, result: HealthcheckResult, retries: u32, counts: bool) -> bool {
        let before = self.status;
        if result.exit_code == Some(0) {
            self.failing = 0;
            self.status = HealthStatusEnum::HEALTHY;
        } else if counts || before != HealthStatusEnum::STARTING {
            self.failing = self.failing.saturating_add(1);
            if self.failing >= retries {
                self.status = HealthStatusEnum::UNHEALTHY;
            }
        }
        self.log.push(result);
        let surplus = self.log.len().saturating_sub(REMEMBERED);
        self.log.drain(..surplus);
        self.status != before
    }

    /// As `inspect` shows it.
    #[must_use]
    pub fn document(&self) -> Health {
        Health {
            status: Some(self.status),
            failing_streak: Some(self.failing.into()),
            log: Some(self.log.clone()),
        }
    }
}

/// Probing goes on for as long as this lives.
#[derive(Debug)]
pub(super) struct Probing(Option<JoinHandle<()>>);

impl Drop for Probing {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Container {
    /// Probes the health of a run, if that was asked for.
    pub(super) fn probe_health(self: &Arc<Self>, run: &Arc<Run>) -> Probing {
        let health = self.spec().health.clone();
        *lock(&self.health) = health.is_some().then(HealthState::default);
        let Some(health) = health else { return Probing(None) };
        let (container, run) = (Arc::clone(self), Arc::clone(run));
        Probing(Some(tokio::spawn(async move { container.probe_for_ever(&run, &health).await })))
    }

    async fn probe_for_ever(&self, run: &Run, health: &HealthSpec) {
        let settled = Instant::now() + health.start_period;
        loop {
            let starting = lock(&self.health)
                .as_ref()
                .is_some_and(|state| state.status == HealthStatusEnum::STARTING);
            let early = starting && Instant::now() < settled;
            let wait = if early { health.start_interval } else { health.interval };
            tokio::time::sleep(wait).await;
            if self.phase() != super::record::Phase::Running {
                continue;
            }
            let result = self.probe(run, health).await;
            let counts = Instant::now() >= settled;
            let changed = lock(&self.health).as_mut().and_then(|state| {
                state.note(result, health.retries, counts).then_some(state.status)
            });
            if let Some(status) = changed {
                self.emit(format!("health_status: {status}"), &[]);
            }
        }
    }

    async fn probe(&self, run: &Run, health: &HealthSpec) -> HealthcheckResult {
        let start = moment::now();
        let outcome = match names::new_id() {
            Ok(id) => self.run_probe(run, health, &id).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let (code, output) = outcome.unwrap_or_else(|error| (-1, error));
        result(start, code, output)
    }

    /// Runs a probe, of which is told as of any command.
    async fn run_probe(
        &self,
        run: &Run,
        health: &HealthSpec,
        id: &str,
    ) -> Result<(i64, String), AgentError> {
        let agent = run.machine.agent();
        let (named, words) = (("execID", id.to_owned()), health.argv.join(" "));
        self.emit(format!("exec_create: {words}"), slice::from_ref(&named));
        self.emit(format!("exec_start: {words}"), slice::from_ref(&named));
        let mut command = within(health.timeout, agent.exec(self.probe_message(health))).await?;
        let kill = Signal { session: command.session(), signal: KILL, group: true };
        let stdout = command.streams.stdout.take();
        let mut output = Vec::new();
        let (status, in_time) = {
            // A probe may close its output and go on.
            let ended = async {
                read_output(stdout, &mut output).await;
                command.wait().await
            };
            tokio::pin!(ended);
            match timeout(health.timeout, &mut ended).await {
                Ok(status) => (status, true),
                Err(_) => {
                    if let Err(error) = agent.act_at_once(Request::Signal(kill)).await {
                        log::debug!("container {}: a probe of its health: {error}", self.id);
                    }
                    // What it started may have left its group and hold its output.
                    let status = timeout(KILLED, ended).await;
                    (status.unwrap_or(Err(AgentError::Lost)), false)
                }
            }
        };
        // Of a probe whose end nobody saw Docker says the same.
        let code = status.as_ref().map_or(128 + i64::from(KILL), |end| end.shell_code().into());
        self.emit("exec_die", &[named, ("exitCode", code.to_string())]);
        let output = String::from_utf8_lossy(&output).into_owned();
        if !in_time {
            return Ok((-1, timed_out(health.timeout, &output)));
        }
        status.map(|_| (code, output))
    }

    fn probe_message(&self, health: &HealthSpec) -> Exec {
        let spec = self.spec();
        let bytes = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect();
        Exec {
            argv: bytes(&health.argv),
            env: bytes(&spec.process.env),
            cwd: spec.process.cwd.clone().into_bytes(),
            user: spec.process.user.clone(),
            stdin: Stdio::Null.into(),
            stdout: Stdio::Stream.into(),
            stderr: Stdio::SameAsStdout.into(),
            container: self.id.clone(),
            confinement: Some(Box::new(spec.confinement.clone())),
            ..Exec::default()
        }
    }
}

/// Reads what is shown of a probe's output. More is thrown away, so that the probe does not wait
/// for a reader.
async fn read_output(stdout: Option<Output>, output: &mut Vec<u8>) {
    let Some(stdout) = stdout else { return };
    let mut limited = stdout.take(OUTPUT);
    // What could be read is shown.
    let _ = limited.read_to_end(output).await;
    let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
}

fn timed_out(limit: Duration, output: &str) -> String {
    let text = format!("Health check exceeded timeout ({limit:?})");
    if output.is_empty() { text } else { format!("{text}: {output}") }
}

fn result(start: OffsetDateTime, code: i64, output: String) -> HealthcheckResult {
    HealthcheckResult {
        start: Some(start),
        end: Some(moment::now()),
        exit_code: Some(code),
        output: Some(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(state: &mut HealthState, code: i64, counts: bool) -> bool {
        state.note(result(moment::now(), code, String::new()), 3, counts)
    }

    #[test]
    fn three_failures_in_a_row_make_it_unhealthy() {
        let mut state = HealthState::default();
        assert!(!note(&mut state, 1, true));
        assert!(!note(&mut state, 1, true));
        assert!(note(&mut state, 1, true));
        assert_eq!((state.status, state.failing), (HealthStatusEnum::UNHEALTHY, 3));
        assert!(note(&mut state, 0, true));
        assert_eq!((state.status, state.failing), (HealthStatusEnum::HEALTHY, 0));
    }

    #[test]
    fn failures_of_the_start_period_are_not_counted() {
        let mut state = HealthState::default();
        for _ in 0..9 {
            assert!(!note(&mut state, 1, false));
        }
        assert_eq!((state.status, state.failing), (HealthStatusEnum::STARTING, 0));
        assert_eq!(state.log.len(), REMEMBERED);
    }

    #[test]
    fn a_success_ends_the_grace_of_the_start_period() {
        let mut state = HealthState::default();
        assert!(note(&mut state, 0, false));
        for _ in 0..2 {
            note(&mut state, 1, false);
        }
        assert!(note(&mut state, 1, false));
        assert_eq!(state.status, HealthStatusEnum::UNHEALTHY);
    }
}
