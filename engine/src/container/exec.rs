//! Commands in running containers.

mod carry;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_protocol::client::ExitStatus;
use agent_protocol::message::{CloseInput, Exec, Request, Resize, Stdio, Terminal};
use api::detach_keys::{DetachKeys, Watcher};
use bollard_stubs::models::{ExecConfig, ExecInspectResponse, ProcessConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use self::carry::{copy_both, copy_out, feed};
use super::live::{Container, Run, lock};
use super::machine::refused;
use super::record::Phase;
use super::spec::privileged;
use super::{ContainerError, Service, names};
use crate::agent::{Command, Streams, within};
use crate::http::error::chain;
use crate::http::multiplex::{Framing, Multiplexer, Output};

/// Ended commands that are remembered, for clients that ask for the exit code.
const REMEMBERED: usize = 1000;
/// Commands at once, those included that were never started.
const MOST: usize = 10_000;
/// A command may take a guest so long to begin.
const BEGINS: Duration = Duration::from_secs(60);

/// All commands, running, to come, and some of the past.
#[derive(Debug, Default)]
pub struct Execs {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<String, Arc<ExecInstance>>,
    ended: VecDeque<String>,
}

/// A command.
#[derive(Debug)]
pub struct ExecInstance {
    /// Its id.
    pub id: String,
    container: Arc<Container>,
    config: ExecConfig,
    keys: DetachKeys,
    state: Mutex<ExecState>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ExecState {
    started: bool,
    running: bool,
    pid: u32,
    session: Option<u64>,
    exit_code: Option<i64>,
}

/// A command that was started: to be attached, or left alone.
#[derive(Debug)]
pub struct StartedExec {
    instance: Arc<ExecInstance>,
    execs: Arc<Execs>,
    run: Arc<Run>,
    command: Command,
}

impl Service {
    /// Makes a command to be started later.
    pub fn create_exec(
        &self,
        container: &Arc<Container>,
        config: ExecConfig,
    ) -> Result<String, ContainerError> {
        match container.phase() {
            Phase::Running => {}
            Phase::Paused => {
                let text = format!(
                    "Container {} is paused, unpause the container before exec",
                    container.id
                );
                return Err(ContainerError::Conflict(text));
            }
            _ => {
                let text = format!("container {} is not running", container.id);
                return Err(ContainerError::Conflict(text));
            }
        }
        let words = config.cmd.as_deref().unwrap_or_default();
        if words.is_empty() {
            return Err(ContainerError::Invalid("No exec command specified".to_owned()));
        }
        let text = words.join(" ");
        let keys = keys(&config)?;
        let id = names::new_id()?;
        let instance = Arc::new(ExecInstance {
            id: id.clone(),
            container: Arc::clone(container),
            config,
            keys,
            state: Mutex::default(),
        });
        {
            let mut table = lock(&self.execs.table);
            if table.by_id.len() >= MOST {
                return Err(ContainerError::Conflict("too many exec instances".to_owned()));
            }
            table.by_id.insert(id.clone(), instance);
        }
        container.emit(format!("exec_create: {text}"), &[("execID", id.clone())]);
        Ok(id)
    }

    /// The command of this id.
    pub fn exec(&self, id: &str) -> Result<Arc<ExecInstance>, ContainerError> {
        let table = lock(&self.execs.table);
        table.by_id.get(id).cloned().ok_or_else(|| ContainerError::ExecNotFound(id.to_owned()))
    }

    /// Takes it for the one start that it has.
    pub fn claim_exec(&self, instance: &ExecInstance) -> Result<(), ContainerError> {
        instance.container.running()?;
        let mut state = lock(&instance.state);
        if state.started {
            let text = format!("Error: Exec command {} is already running", instance.id);
            return Err(ContainerError::Conflict(text));
        }
        state.started = true;
        Ok(())
    }

    /// Starts what was claimed; `detached` without streams.
    pub async fn start_exec(
        &self,
        instance: &Arc<ExecInstance>,
        detached: bool,
        size: Option<(u16, u16)>,
    ) -> Result<StartedExec, ContainerError> {
        let container = &instance.container;
        let begun = async {
            let run = container.running()?;
            // Docker tells of it before it knows whether there is such a program.
            let action = format!("exec_start: {}", instance.words().join(" "));
            container.emit(action, &[("execID", instance.id.clone())]);
            let exec = instance.message(detached, size);
            let command = within(BEGINS, run.machine.agent().exec(exec))
                .await
                .map_err(|error| refused(error, instance.words().first().map(String::as_str)))?;
            Ok((run, command))
        }
        .await;
        match begun {
            Ok((run, command)) => {
                {
                    let mut state = lock(&instance.state);
                    state.running = true;
                    state.pid = command.pid();
                    state.session = Some(command.session());
                }
                let (instance, execs) = (Arc::clone(instance), Arc::clone(&self.execs));
                Ok(StartedExec { instance, execs, run, command })
            }
            Err(error) => {
                let code = match &error {
                    ContainerError::Program { code, .. } => *code,
                    _ => 126,
                };
                self.execs.ended(instance, code);
                Err(error)
            }
        }
    }
}

impl Execs {
    /// Notes an end, and forgets those that ended long ago.
    fn ended(&self, instance: &ExecInstance, code: i64) {
        {
            let mut state = lock(&instance.state);
            state.running = false;
            state.exit_code = Some(code);
        }
        let mut table = lock(&self.table);
        table.ended.push_back(instance.id.clone());
        if table.ended.len() > REMEMBERED
            && let Some(oldest) = table.ended.pop_front()
        {
            table.by_id.remove(&oldest);
        }
    }

    /// Ids of the commands of a container that run.
    #[must_use]
    pub fn of(&self, container: &str) -> Vec<String> {
        let table = lock(&self.table);
        let running = table
            .by_id
            .values()
            .filter(|instance| instance.container.id == container && lock(&instance.state).running);
        running.map(|instance| instance.id.clone()).collect()
    }

    /// Forgets the commands of a container that is gone.
    pub(super) fn forget(&self, container: &str) {
        lock(&self.table).by_id.retain(|_, instance| instance.container.id != container);
    }
}

impl ExecInstance {
    fn words(&self) -> &[String] {
        self.config.cmd.as_deref().unwrap_or_default()
    }

    /// Whether it has a terminal.
    #[must_use]
    pub fn tty(&self) -> bool {
        self.config.tty.unwrap_or_default()
    }

    fn message(&self, detached: bool, size: Option<(u16, u16)>) -> Exec {
        let spec = self.container.spec();
        let bytes = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect();
        let stream = |wanted: Option<bool>| {
            if wanted.unwrap_or_default() && !detached { Stdio::Stream } else { Stdio::Null }.into()
        };
        let mut env = spec.process.env.clone();
        for entry in self.config.env.iter().flatten() {
            let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
            env.retain(|own| own.split_once('=').is_none_or(|(own, _)| own != name));
            env.push(entry.clone());
        }
        let given = |text: &Option<String>, default: &str| {
            text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        let mut confinement = spec.confinement.clone();
        if self.config.privileged.unwrap_or_default() {
            confinement = privileged(confinement.groups);
        }
        let (rows, columns) = size.unwrap_or((24, 80));
        let terminal = self.tty().then(|| Terminal { rows: rows.into(), columns: columns.into() });
        Exec {
            argv: bytes(self.words()),
            env: bytes(&env),
            cwd: given(&self.config.working_dir, &spec.process.cwd).into_bytes(),
            user: given(&self.config.user, &spec.process.user),
            stdin: stream(self.config.attach_stdin),
            stdout: stream(self.config.attach_stdout),
            stderr: stream(self.config.attach_stderr),
            terminal,
            detach: true,
            container: self.container.id.clone(),
            confinement: Some(Box::new(confinement)),
            inline_output: 0,
        }
    }

    /// Changes the size of its terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), ContainerError> {
        let state = *lock(&self.state);
        let session = state.session.filter(|_| state.running).ok_or_else(|| {
            ContainerError::Conflict(format!("exec instance {} is not running", self.id))
        })?;
        let run = self.container.running()?;
        let size = Some(Terminal { rows: rows.into(), columns: columns.into() });
        let resized =
            run.machine.agent().act_at_once(Request::Resize(Resize { session, size })).await;
        resized.map_err(|error| ContainerError::Machine(chain(&error)))
    }

    /// As Docker shows it.
    #[must_use]
    pub fn document(&self) -> ExecInspectResponse {
        let state = *lock(&self.state);
        let config = &self.config;
        let mut words = self.words().iter().cloned();
        ExecInspectResponse {
            can_remove: Some(false),
            detach_keys: Some(config.detach_keys.clone().unwrap_or_default()),
            id: Some(self.id.clone()),
            running: Some(state.running),
            exit_code: state.exit_code,
            process_config: Some(ProcessConfig {
                privileged: Some(config.privileged.unwrap_or_default()),
                user: config.user.clone(),
                tty: Some(self.tty()),
                entrypoint: words.next(),
                arguments: Some(words.collect()),
            }),
            open_stdin: Some(config.attach_stdin.unwrap_or_default()),
            open_stderr: Some(config.attach_stderr.unwrap_or_default()),
            open_stdout: Some(config.attach_stdout.unwrap_or_default()),
            container_id: Some(self.container.id.clone()),
            pid: Some(state.pid.into()),
        }
    }
}

impl StartedExec {
    /// Sees it to its end without a client.
    pub async fn detached(mut self) {
        // A terminal is there even so; what is written to it goes nowhere.
        let terminal = self.command.streams.terminal.take();
        let drained = async {
            if let Some(mut terminal) = terminal {
                // It ends with the command.
                let _ = tokio::io::copy(&mut terminal, &mut tokio::io::sink()).await;
            }
        };
        drained.await;
        self.finish().await;
    }

    /// Carries the streams between the command and a client until the command has ended, or the
    /// client leaves a terminal by its keys; then the command goes on without it.
    pub async fn attached<R, W>(mut self, input: R, client: W)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send,
    {
        let framing = if self.instance.tty() { Framing::Raw } else { Framing::Multiplexed };
        let mut client = Multiplexer::new(framing, client);
        let streams = std::mem::take(&mut self.command.streams);
        let Streams { stdin, stdout, stderr, terminal } = streams;
        if let Some(terminal) = terminal {
            return self.attached_to(terminal, input, client).await;
        }
        let (run, session) = (Arc::clone(&self.run), self.command.session());
        let feeding = tokio::spawn(async move {
            if let Some(stdin) = stdin {
                feed(input, stdin, None).await;
                // It may have ended.
                let close = Request::CloseInput(CloseInput { session });
                let _ = run.machine.agent().act(close).await;
            }
        });
        copy_both(stdout, stderr, &mut client).await;
        self.finish().await;
        feeding.abort();
        // A client that has gone needs no end.
        let _ = client.into_inner().shutdown().await;
    }

    async fn attached_to<R, W>(self, terminal: UnixStream, input: R, mut client: Multiplexer<W>)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send,
    {
        let (mut output, sink) = terminal.into_split();
        let watcher = Watcher::new(&self.instance.keys);
        let mut feeding = tokio::spawn(feed(input, sink, Some(watcher)));
        // The way in is kept to the end: without it the terminal would hang up, also for a client
        // that looks for its keys itself and just goes.
        let mut kept = None;
        let left = async {
            if let Ok((sink, by_keys)) = (&mut feeding).await {
                kept = Some(sink);
                if by_keys {
                    return;
                }
            }
            std::future::pending().await
        };
        let left = tokio::select! {
            () = copy_out(Output::Stdout, &mut output, &mut client) => false,
            () = left => true,
        };
        let mut client = Some(client.into_inner());
        if left {
            let id = ("execID", self.instance.id.clone());
            self.instance.container.emit("exec_detach", &[id]);
            end(client.take()).await;
            // What is still written goes nowhere. It ends with the command.
            let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
        }
        self.finish().await;
        feeding.abort();
        end(client).await;
    }

    async fn finish(self) {
        let code = match self.command.wait().await {
            Ok(status) => i64::from(ExitStatus::shell_code(status)),
            // Its machine ended, and it with it.
            Err(_) => 137,
        };
        self.execs.ended(&self.instance, code);
        let more = [("execID", self.instance.id.clone()), ("exitCode", code.to_string())];
        self.instance.container.emit("exec_die", &more);
    }
}

/// The keys by which a client leaves the terminal, or else Docker's.
fn keys(config: &ExecConfig) -> Result<DetachKeys, ContainerError> {
    let Some(text) = config.detach_keys.as_ref().filter(|text| !text.is_empty()) else {
        return Ok(DetachKeys::default());
    };
    let invalid = |_| ContainerError::Invalid(format!("Invalid escape keys ({text}) provided"));
    text.parse().map_err(invalid)
}

async fn end(client: Option<impl AsyncWrite + Unpin>) {
    if let Some(mut client) = client {
        // A client that has gone needs no end.
        let _ = client.shutdown().await;
    }
}
