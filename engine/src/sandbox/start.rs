//! Starting a machine, and finding one again that an earlier engine started.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::READY_PORT;
use agent_protocol::client::{ConnectError, GreetError};
use api::vm::client::Client;
use api::vm::wire::InstanceState;
use launch::{Console, EndRecord, Folder, Launch, LaunchError, Process, ProcessId, Record};
use tokio::net::UnixListener;
use vm_spec::VmSpec;

use super::monitor::Monitor;
use super::ready::{Booting, Ready};
use super::{Guest, Sandbox, SandboxError, SandboxSpec, Sandboxes, Vm, console, document};
use crate::agent::Agent;
use crate::start_times::{GuestTimes, Point, StartTimes};

/// How long an agent that has called, or a monitor, may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has become of a machine that an earlier engine started.
#[derive(Debug)]
pub enum Adopted {
    /// It runs.
    Running(Sandbox),
    /// It has ended; its folder is still there.
    Ended(Arc<EndRecord>),
    /// It was never started, or nothing is left of it.
    Gone,
}

impl Sandboxes {
    /// Starts a machine and waits for its agent. A future that is dropped, or fails, leaves
    /// neither the machine nor its folder.
    pub async fn start(&self, spec: &SandboxSpec) -> Result<Sandbox, SandboxError> {
        self.start_timed(spec, &StartTimes::begin()).await
    }

    /// As [`Self::start`], with a note of when it reached what.
    pub async fn start_timed(
        &self,
        spec: &SandboxSpec,
        times: &StartTimes,
    ) -> Result<Sandbox, SandboxError> {
        let folder = self.folder(&spec.id);
        let guest = Guest::find(&self.guest).map_err(SandboxError::Guest)?;
        let document = document::compose(spec, &guest, &folder, document::Quick::find(&self.guest));
        let document = document.map_err(SandboxError::Document)?;
        // It is never closed, so there is always a turn.
        let _turn = self.boots.acquire().await.ok();
        prepare(&folder)?;
        let mut attempt = Attempt { folder: &folder, monitor: None, succeeded: false };
        let call = Call::listen(&folder)?;
        times.reach(Point::Turn);
        let monitor = attempt.monitor.insert(self.launch(&folder, &document, Vec::new())?).clone();
        times.reach(Point::Monitor);
        let agent = self.await_agent(&folder, &monitor, call.answered(&folder)).await?;
        times.reach(Point::Agent);
        let (began, served) = (agent.hello().started_us, agent.hello().ready_us);
        let (agent_began, agent_served) =
            (Duration::from_micros(began), Duration::from_micros(served));
        times.note_guest(GuestTimes { agent_began, agent_served });
        attempt.succeeded = true;
        drop(attempt);
        Ok(Sandbox::new(Vm::new(folder, monitor), agent))
    }

    /// Starts a machine that has no agent, and waits for nothing.
    pub fn boot(&self, id: &str, document: &VmSpec) -> Result<Booting, SandboxError> {
        let folder = self.folder(id);
        prepare(&folder)?;
        let launched = Ready::listen(&folder)
            .and_then(|ready| Ok((self.launch(&folder, document, ready.arguments())?, ready)))
            .inspect_err(|_| folder.remove());
        let (monitor, ready) = launched?;
        Ok(Booting::new(Vm::new(folder, monitor), ready, self.boot_limit))
    }

    /// Finds a machine without an agent again; `None` where it does not run.
    pub fn find(&self, id: &str) -> Result<Option<Vm>, SandboxError> {
        let folder = self.folder(id);
        let Traces::Monitor(monitor) = Traces::of(&folder) else { return Ok(None) };
        let Some(process) = Process::of(monitor).map_err(SandboxError::Watch)? else {
            return Ok(None);
        };
        let monitor = Monitor::watch(process, None, folder.clone()).map_err(SandboxError::Watch)?;
        Ok(Some(Vm::new(folder, monitor)))
    }

    /// Starts the monitor. It awaits nothing, so that nothing can be dropped before the monitor is
    /// watched: it would be nobody's then.
    fn launch(
        &self,
        folder: &Folder,
        document: &VmSpec,
        arguments: Vec<String>,
    ) -> Result<Monitor, SandboxError> {
        let document = serde_json::to_vec_pretty(document)
            .map_err(|e| SandboxError::Launch(LaunchError::Document(e.into())))?;
        fs::write(folder.spec_file(), &document)
            .map_err(|source| SandboxError::Folder { path: folder.spec_file(), source })?;
        let launch = Launch {
            program: &self.monitor,
            folder,
            console: Console::Recorded(document),
            ends_with_us: false,
            arguments,
        };
        let child = launch.spawn().map_err(SandboxError::Launch)?;
        let process = Process::open(child.id()).map_err(SandboxError::Watch)?;
        Monitor::watch(process, Some(child), folder.clone()).map_err(SandboxError::Watch)
    }

    /// Finds a machine again. One that was paused goes on, as its agent could not answer else.
    pub async fn adopt(&self, id: &str) -> Result<Adopted, SandboxError> {
        let folder = self.folder(id);
        let monitor = match Traces::of(&folder) {
            Traces::Monitor(monitor) => monitor,
            Traces::Starting => return Err(SandboxError::Running(id.to_owned())),
            Traces::None => {
                folder.remove();
                return Ok(Adopted::Gone);
            }
        };
        let Some(process) = Process::of(monitor).map_err(SandboxError::Watch)? else {
            return Ok(Adopted::Ended(Arc::new(EndRecord::of(&folder))));
        };
        let monitor = Monitor::watch(process, None, folder.clone()).map_err(SandboxError::Watch)?;
        let call = Call::listen(&folder)?;
        resume_if_paused(&folder).await;
        let agent = async {
            let (called, socket) = (call.answered(&folder), folder.vsock_socket());
            tokio::pin!(called);
            // It serves already, unless the earlier engine went while it booted.
            let connected = tokio::select! {
                agent = &mut called => return agent,
                agent = Agent::connect(&socket, self.boot_limit) => agent,
            };
            match connected {
                Err(GreetError::Connect(
                    ConnectError::Refused { .. } | ConnectError::Socket { .. },
                )) => called.await,
                connected => connected,
            }
        };
        let agent = self.await_agent(&folder, &monitor, agent).await?;
        Ok(Adopted::Running(Sandbox::new(Vm::new(folder, monitor), agent)))
    }

    /// The folder of the machine of this id.
    #[must_use]
    pub fn folder(&self, id: &str) -> Folder {
        Folder::new(id, self.paths.machine(id))
    }

    /// Waits for the agent, and no longer than the machine lives.
    async fn await_agent(
        &self,
        folder: &Folder,
        monitor: &Monitor,
        agent: impl Future<Output = Result<Agent, GreetError>>,
    ) -> Result<Agent, SandboxError> {
        let limit = self.boot_limit;
        tokio::select! {
            agent = agent => agent.map_err(SandboxError::Greet),
            end = monitor.ended() => Err(SandboxError::Ended {
                message: end.message.clone(),
                console: console::last_lines(folder),
            }),
            () = tokio::time::sleep(limit) => {
                Err(SandboxError::Late { limit, console: console::last_lines(folder) })
            }
        }
    }
}

/// What a machine's folder tells of it.
enum Traces {
    /// It has, or had, this monitor.
    Monitor(ProcessId),
    /// It is about to get one.
    Starting,
    /// It never got one, or there is no folder.
    None,
}

impl Traces {
    fn of(folder: &Folder) -> Self {
        match folder.record() {
            Ok(Record { monitor: Some(monitor), .. }) => Self::Monitor(monitor),
            Ok(Record { owner, .. }) if owner.is_alive() => Self::Starting,
            _ => Self::None,
        }
    }
}

/// Makes the folder of a new machine, with its record. What an ended one left is removed.
fn prepare(folder: &Folder) -> Result<(), SandboxError> {
    let in_use = match Traces::of(folder) {
        Traces::Monitor(monitor) => monitor.is_alive(),
        Traces::Starting => true,
        Traces::None => false,
    };
    if in_use {
        return Err(SandboxError::Running(folder.name().to_owned()));
    }
    folder.remove();
    let path = folder.path();
    let failed = |source| SandboxError::Folder { path: path.to_owned(), source };
    DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
    let owner = ProcessId::own().map_err(SandboxError::Watch)?;
    let record = Record { owner, monitor: None, detached: true };
    folder.write(&record).map_err(SandboxError::Record).inspect_err(|_| folder.remove())
}

/// A machine that nobody has yet: unless the start succeeds, it ends and its folder goes.
struct Attempt<'a> {
    folder: &'a Folder,
    monitor: Option<Monitor>,
    succeeded: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.succeeded {
            return;
        }
        if let Some(monitor) = &self.monitor {
            monitor.kill();
        }
        self.folder.remove();
    }
}

/// The socket at which the agent calls, once.
struct Call {
    listener: UnixListener,
    path: PathBuf,
}

impl Call {
    fn listen(folder: &Folder) -> Result<Self, SandboxError> {
        let mut path = folder.vsock_socket().into_os_string();
        path.push(format!("_{READY_PORT}"));
        let path = PathBuf::from(path);
        // An engine that was killed while it waited has left its own.
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        match removed.and_then(|()| UnixListener::bind(&path)) {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => Err(SandboxError::Listen { path, source }),
        }
    }

    async fn answered(&self, folder: &Folder) -> Result<Agent, GreetError> {
        let (call, _) = self.listener.accept().await.map_err(GreetError::Io)?;
        Agent::answer(call, &folder.vsock_socket(), PATIENCE).await
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // The folder may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

async fn resume_if_paused(folder: &Folder) {
    let client = Client::new(folder.api_socket()).with_timeout(PATIENCE);
    let resuming = tokio::task::spawn_blocking(move || {
        let paused = client.instance()?.state == InstanceState::Paused;
        if paused { client.resume().map(|()| true) } else { Ok(false) }
    });
    match resuming.await {
        Ok(Ok(true)) => log::info!("{} was paused and goes on", folder.name()),
        Ok(Ok(false)) | Err(_) => {}
        // It may be about to start or to end, which is seen elsewhere.
        Ok(Err(error)) => log::warn!("Failed to ask the monitor of {}: {error}", folder.name()),
    }
}
