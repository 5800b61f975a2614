//! Looking after a run, and after those that follow it by themselves.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::message::ContainerEnd;
use tokio::io::AsyncRead;
use tokio::task::JoinSet;

use super::RemoveOptions;
use super::first_output::FirstOutput;
use crate::agent::AgentError;
use crate::container::live::{Container, Run};
use crate::container::logs::Source;
use crate::container::record::Phase;
use crate::container::spec::BackOff;
use crate::container::streams::{InputSink, Streams};
use crate::container::{ContainerError, moment, names};

/// Output that is on its way when a container ends comes at once; a connection that hangs must
/// not keep its end from being told.
const DRAIN: Duration = Duration::from_secs(10);
/// What Docker shows for a process whose fate is unknown.
const LOST: i64 = 137;

/// The tasks that carry a run's output.
pub(in crate::container) struct Pumps {
    tasks: JoinSet<()>,
    input: Option<InputSink>,
}

impl Pumps {
    pub(super) fn plain(
        container: &Container,
        stdout: impl AsyncRead + Unpin + Send + 'static,
        stderr: impl AsyncRead + Unpin + Send + 'static,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let (one, other) = (container.streams.clone(), container.streams.clone());
        let (stdout, stderr) =
            (FirstOutput::of(container, stdout), FirstOutput::of(container, stderr));
        tasks.spawn(async move { one.pump(Source::Stdout, stdout).await });
        tasks.spawn(async move { other.pump(Source::Stderr, stderr).await });
        Self { tasks, input: None }
    }

    pub(super) fn terminal(
        container: &Container,
        output: impl AsyncRead + Unpin + Send + 'static,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let (streams, output) = (container.streams.clone(), FirstOutput::of(container, output));
        tasks.spawn(async move { streams.pump(Source::Stdout, output).await });
        Self { tasks, input: None }
    }

    /// With the way in for input.
    pub(super) fn with_input(self, input: InputSink) -> Self {
        Self { input: Some(input), ..self }
    }

    /// Lets input in. To be called once the run is known, as the end of input is told to it.
    pub(super) fn open_input(&mut self, streams: &Streams) {
        if let Some(input) = self.input.take() {
            streams.input.open(input);
        }
    }

    /// Until all has been carried.
    async fn drain(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            log::warn!("output of a container that ended did not come to its end");
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) code: i64,
    oom_killed: bool,
    error: String,
    /// The machine is gone, so there is nothing to write out.
    lost: bool,
}

impl End {
    pub(super) fn of(end: &ContainerEnd) -> Self {
        let code = if end.signal == 0 { end.code } else { 128 + end.signal };
        Self { code: code.into(), oom_killed: end.oom_killed, error: String::new(), lost: false }
    }

    pub(super) fn lost(error: impl Into<String>) -> Self {
        Self { code: LOST, oom_killed: false, error: error.into(), lost: true }
    }
}

/// Sees a run to its end, and the ones after it.
pub(super) async fn supervise(container: Arc<Container>, mut run: Arc<Run>, mut pumps: Pumps) {
    let mut back_off = BackOff::default();
    loop {
        let probing = container.probe_health(&run);
        let end = run_to_end(&container, &run).await;
        drop(probing);
        pumps.drain().await;
        let ran = run.began.elapsed();
        if !container.finish(&run, end).await {
            break;
        }
        let wait = back_off.next(ran);
        let again = tokio::select! {
            () = tokio::time::sleep(wait) => container.start_again().await,
            () = container.given_up() => None,
        };
        match again {
            Some(next) => (run, pumps) = next,
            None => {
                container.settle().await;
                break;
            }
        }
    }
    if container.spec().auto_remove {
        let options = RemoveOptions { volumes: true, force: false };
        match container.remove(options).await {
            // Somebody else was faster.
            Ok(()) | Err(ContainerError::NotFound(_)) => {}
            Err(error) => log::warn!("container {}: {error}", names::short_id(&container.id)),
        }
    }
}

/// Waits for the end of the first process or of the machine.
async fn run_to_end(container: &Container, run: &Run) -> End {
    loop {
        let agent = run.machine.agent();
        let waited = tokio::select! {
            waited = agent.wait_container(&container.id) => waited,
            message = run.machine.ended() => {
                return End::lost(format!("its machine ended: {message}"));
            }
        };
        match waited {
            Ok(end) => return End::of(&end),
            Err(AgentError::Lost) => {
                let ended = tokio::time::timeout(Duration::from_secs(1), run.machine.ended());
                if let Ok(message) = ended.await {
                    return End::lost(format!("its machine ended: {message}"));
                }
                if let Err(error) = run.machine.reconnect().await {
                    return End::lost(error.to_string());
                }
            }
            Err(error) => return End::lost(error.to_string()),
        }
    }
}

impl Container {
    /// Writes an end down, tells of it and takes the machine down. Tells whether the container is
    /// to start again.
    pub(super) async fn finish(self: &Arc<Self>, run: &Arc<Run>, end: End) -> bool {
        let operation = self.operation.lock().await;
        let policy = self.spec().restart;
        let count = self.with_record(|record| record.restart_count);
        let stopped = self.with_record(|record| record.stopped_by_user);
        let again = !run.is_ending() && !stopped && policy.applies(end.code, count);
        let finished = moment::now_ns();
        let ran = run.began.elapsed().as_secs();
        self.note(|record| {
            record.state.phase = if again { Phase::Restarting } else { Phase::Exited };
            record.state.pid = 0;
            record.state.exit_code = end.code;
            record.state.oom_killed = end.oom_killed;
            record.state.error.clone_from(&end.error);
            record.state.finished_ns = finished;
            record.restart_count += u64::from(again);
        })
        .await;
        if end.oom_killed {
            self.emit("oom", &[]);
        }
        let duration = ("execDuration", ran.to_string());
        self.emit("die", &[("exitCode", end.code.to_string()), duration]);
        // From here on those who wait or are attached know; the rest is cleaning up.
        self.streams.end_run();
        self.progress.send_modify(|progress| {
            self.set_run(None);
            progress.ends += 1;
        });
        let discarded =
            self.spec().auto_remove && self.with_record(|record| record.mounts.is_empty());
        let pod = self.pod();
        let home = pod.as_deref().unwrap_or(self);
        home.leave(&self.id, &run.machine, !end.lost && !discarded).await;
        drop(operation);
        again
    }

    /// Starts it again, unless somebody decided otherwise meanwhile.
    async fn start_again(self: &Arc<Self>) -> Option<(Arc<Run>, Pumps)> {
        let operation = self.operation.lock().await;
        let wanted = self.with_record(|record| {
            record.state.phase == Phase::Restarting && !record.stopped_by_user
        });
        if !wanted {
            return None;
        }
        match self.begin_run(&operation).await {
            Ok(begun) => Some(begun),
            Err(error) => {
                log::warn!("container {}: not started again: {error}", self.id);
                self.note(|record| record.state.error = error.to_string()).await;
                // Those who follow the log must not wait for what does not come.
                self.streams.end_run();
                None
            }
        }
    }

    /// It will not start again after all.
    async fn settle(&self) {
        self.note(|record| {
            if record.state.phase == Phase::Restarting {
                record.state.phase = Phase::Exited;
            }
        })
        .await;
        self.progress.send_modify(|progress| progress.ends += 1);
    }
}
