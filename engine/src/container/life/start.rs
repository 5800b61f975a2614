//! Starting a container.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use agent_protocol::message::{Request, Stream};
use tokio::sync::MutexGuard;

use super::supervise::{Pumps, supervise};
use crate::agent::within;
use crate::container::live::{Container, Run};
use crate::container::machine::{Machine, refused};
use crate::container::record::Phase;
use crate::container::record::Role;
use crate::container::{ContainerError, guest, moment, names};
use crate::http::error::chain;
use crate::start_times::Point;

/// Making a container may take a guest so long: volumes get the image's content then.
const MAKE: Duration = Duration::from_secs(600);
/// Starting the first process, or connecting one of its streams, may take a guest so long.
const BEGIN: Duration = Duration::from_secs(60);

impl Container {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ContainerError::Unchanged`] where it runs already.
    pub async fn start(self: &Arc<Self>) -> Result<(), ContainerError> {
        let operation = self.operation.lock().await;
        match self.phase() {
            Phase::Running | Phase::Restarting => return Err(ContainerError::Unchanged),
            Phase::Paused => {
                let text = "cannot start a paused container, try unpause instead";
                return Err(ContainerError::Conflict(text.to_owned()));
            }
            Phase::Removing | Phase::Dead => {
                let text = "container is marked for removal and cannot be started";
                return Err(ContainerError::Conflict(text.to_owned()));
            }
            Phase::Created | Phase::Exited => {}
        }
        self.change(|record| {
            record.stopped_by_user = false;
            record.restart_count = 0;
        })
        .await?;
        let error = match self.begin_run(&operation).await {
            Ok((run, pumps)) => {
                tokio::spawn(supervise(Arc::clone(self), run, pumps));
                return Ok(());
            }
            Err(error) => error,
        };
        // Before anybody else can start it.
        self.start_failed(&error).await;
        drop(operation);
        if self.spec().auto_remove {
            let removed = self.remove(super::RemoveOptions { volumes: true, force: false }).await;
            if let Err(error) = removed {
                log::warn!("container {}: {error}", self.id);
            }
        }
        Err(error)
    }

    /// Writes down why a start failed.
    async fn start_failed(&self, error: &ContainerError) {
        let code = match error {
            ContainerError::Program { code, .. } => *code,
            _ => 128,
        };
        self.note(|record| {
            record.state.phase = Phase::Created;
            record.state.exit_code = code;
            record.state.error = error.to_string();
        })
        .await;
        self.streams.end_run();
        self.progress.send_modify(|progress| progress.ends += 1);
    }

    /// Starts the machine and the first process in it. `_operation` shows that nothing else
    /// happens to the container meanwhile.
    pub(super) async fn begin_run(
        self: &Arc<Self>,
        _operation: &MutexGuard<'_, ()>,
    ) -> Result<(Arc<Run>, Pumps), ContainerError> {
        let times = self.time_start();
        let pod = self.pod();
        let home = pod.as_deref().unwrap_or(self);
        let machine = home.enter(self).await?;
        let begun = async {
            self.make_in(&machine).await?;
            times.reach(Point::Made);
            self.start_process(&machine).await
        }
        .await;
        if begun.is_err() {
            home.leave(&self.id, &machine, true).await;
        }
        let (run, mut pumps, pid) = begun?;
        log::debug!("container {} started: {times}", names::short_id(&self.id));
        self.set_run(Some(Arc::clone(&run)));
        pumps.open_input(&self.streams);
        let started = moment::now_ns();
        // The container runs whatever becomes of this note.
        self.note(|record| {
            record.state.phase = Phase::Running;
            record.state.pid = pid;
            record.state.exit_code = 0;
            record.state.oom_killed = false;
            record.state.error.clear();
            record.state.started_ns = started;
        })
        .await;
        self.emit("start", &[]);
        Ok((run, pumps))
    }

    /// Makes the container in its home's machine, without its process.
    pub(in crate::container) async fn make_in(
        &self,
        machine: &Machine,
    ) -> Result<(), ContainerError> {
        let (spec, record, pod) = (self.spec(), self.record(), self.pod());
        let layers = self.ground.image(&record.image_id)?.layers().len();
        let mounts = guest::mounts(&record).into_iter().map(|plan| plan.mount).collect();
        let network = pod.as_deref().unwrap_or(self).network_files(self).await?;
        let console = console_size(&record.host_config);
        let mut create = guest::create(&self.id, &spec, layers, mounts, &network, console);
        create.share_ipc = pod.is_some_and(|pod| {
            pod.with_record(|record| matches!(record.role, Role::Pod { share_ipc: true, .. }))
        });
        let program = spec.process.argv.first().map(String::as_str);
        let (agent, create) = (machine.agent(), Request::CreateContainer(Box::new(create)));
        let created = within(MAKE, agent.act(create)).await;
        created.map_err(|error| refused(error, program))
    }

    /// Starts the first process and connects its streams.
    async fn start_process(
        &self,
        machine: &Machine,
    ) -> Result<(Arc<Run>, Pumps, u32), ContainerError> {
        let spec = self.spec();
        let program = spec.process.argv.first().map(String::as_str);
        let agent = machine.agent();
        let started = within(BEGIN, agent.start_container(&self.id)).await;
        let started = started.map_err(|error| refused(error, program))?;
        self.start_times().reach(Point::Process);
        let pumps = self.connect_streams(machine, started.session).await?;
        let run = Run {
            machine: machine.clone(),
            session: started.session,
            began: tokio::time::Instant::now(),
            ending: AtomicBool::new(false),
        };
        Ok((Arc::new(run), pumps, started.pid))
    }

    /// Connects the streams of the first process: output to pumps, input to the container's.
    pub(super) async fn connect_streams(
        &self,
        machine: &Machine,
        session: u64,
    ) -> Result<Pumps, ContainerError> {
        let process = &self.spec().process;
        let agent = machine.agent();
        let connect = async |stream| {
            let socket = within(BEGIN, agent.attach(session, stream)).await;
            socket.map_err(|error| ContainerError::Machine(chain(&error)))
        };
        self.streams.log().begin();
        if process.tty {
            let (output, input) = connect(Stream::Terminal).await?.into_split();
            if process.open_stdin {
                return Ok(Pumps::terminal(self, output).with_input(Box::new(input)));
            }
            // Dropping the half would shut the connection down for writing only; the terminal's
            // output goes on. It is kept all the same, as that end would hang the terminal up.
            let pumps = Pumps::terminal(self, KeptOpen { output, _input: input });
            return Ok(pumps);
        }
        let stdout = connect(Stream::Stdout).await?;
        let stderr = connect(Stream::Stderr).await?;
        let pumps = Pumps::plain(self, stdout, stderr);
        if process.open_stdin {
            return Ok(pumps.with_input(Box::new(connect(Stream::Stdin).await?)));
        }
        Ok(pumps)
    }
}

/// A terminal's output whose input nobody gives.
struct KeptOpen {
    output: tokio::net::unix::OwnedReadHalf,
    _input: tokio::net::unix::OwnedWriteHalf,
}

impl tokio::io::AsyncRead for KeptOpen {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

/// The terminal's size that the client asked for: height, width.
fn console_size(host: &bollard_stubs::models::HostConfig) -> Option<(u16, u16)> {
    let size = host.console_size.as_ref()?;
    let number = |index: usize| u16::try_from(*size.get(index)?).ok().filter(|n| *n > 0);
    Some((number(0)?, number(1)?))
}
