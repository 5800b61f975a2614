//! Carrying out the host's requests.

use std::io;

use agent_protocol::{
    message::{
        Attach, CloseInput, ContainerRef, Done, Exec, Failure, FailureKind, Open, PowerOff, Reply,
        Request, Resize, SignalContainer, ToAgent, WaitContainer,
    },
    version,
};

use super::{End, Server, Stage, tasks::Purpose};
use crate::{
    container::{self, Asked, State},
    failure::{ToFailure, failure},
    machine::{clock, mounts},
    metrics, network,
    reactor::{Side, Token, Wake},
    session::{MAX_SESSIONS, Tie, spawn},
};

impl Server {
    pub(super) fn request(&mut self, token: Token, message: ToAgent) {
        let stage = self.connections.get(&token).map(|connection| connection.stage);
        let id = message.id;
        match (stage, message.request) {
            (Some(Stage::Fresh), Some(Request::Attach(attach))) => self.attach(token, attach),
            (Some(_), Some(Request::Open(open))) => self.open_control(token, id, open),
            (Some(Stage::Control), Some(request)) => match self.carry_out((token, id), request) {
                Ok(Answer::Now(reply)) => self.reply(token, id, *reply),
                Ok(Answer::Later) => {}
                Err(failure) => self.reply(token, id, Reply::Failure(failure)),
            },
            (Some(Stage::Control), None) => {
                let text = "the agent does not know this request";
                self.reply(token, id, Reply::Failure(failure(FailureKind::Unsupported, text)));
            }
            // A stranger who does not say what the connection is for.
            _ => self.close(token),
        }
    }

    fn open_control(&mut self, token: Token, id: u64, open: Open) {
        if let Err(error) = version::agree(open.versions.unwrap_or_default()) {
            let text = error.to_string();
            self.reply(token, id, Reply::Failure(failure(FailureKind::Unsupported, text)));
            return self.close(token);
        }
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.stage = Stage::Control;
        }
        self.reply(token, id, Reply::Hello(self.hello.clone()));
    }

    /// Turns a connection into a command's stream. One that fits no stream is closed.
    fn attach(&mut self, token: Token, attach: Attach) {
        let Some(connection) = self.connections.remove(&token) else { return };
        let connection = connection.into_stream();
        // It is watched again as part of a pump, under another token.
        if self.reactor.unwatch(&connection).is_err() {
            return;
        }
        match self.sessions.attach(attach.session, attach.stream(), connection) {
            Ok(pumps) => pumps.into_iter().for_each(|pump| self.add_pump(pump)),
            // The command ended before its streams were wanted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => crate::say!(
                "failed to attach to {:?} of command {}: {error}",
                attach.stream(),
                attach.session
            ),
        }
    }

    fn carry_out(&mut self, asked: Asked, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Exec(exec) => self.exec(asked, &exec),
            Request::Signal(signal) => done(self.sessions.signal(signal)),
            Request::Resize(Resize { session, size }) => {
                let size =
                    size.ok_or_else(|| failure(FailureKind::InvalidRequest, "No size given"))?;
                done(self.sessions.resize(session, size))
            }
            Request::CloseInput(CloseInput { session }) => {
                self.take_in_streams();
                done(self.sessions.close_input(session))
            }
            Request::CloseOutput(close) => {
                self.close_output(close);
                Ok(Answer::now(Reply::Done(Done {})))
            }
            Request::Metrics(_) => Ok(Answer::now(Reply::Metrics(metrics::read()))),
            Request::Mount(mount) => done(mounts::mount_for_host(&mount)),
            Request::Unmount(unmount) => done(mounts::unmount_for_host(&unmount)),
            Request::PowerOff(power_off) => Ok(self.power_off(power_off)),
            Request::Open(_) | Request::Attach(_) => {
                let text = "the connection is in use already";
                Err(failure(FailureKind::InvalidRequest, text))
            }
            request => self.carry_out_for_container(asked, request),
        }
    }

    fn carry_out_for_container(
        &mut self,
        asked: Asked,
        request: Request,
    ) -> Result<Answer, Failure> {
        match request {
            Request::CreateContainer(create) => self.create_container(asked, &create),
            Request::StartContainer(ContainerRef { id }) => self.start_container(asked, &id),
            Request::WaitContainer(WaitContainer { id }) => self.wait_container(asked, &id),
            Request::SignalContainer(SignalContainer { id, signal, all }) => {
                let container = self.containers.get(&id);
                done(container.and_then(|container| container.signal(signal, all)))
            }
            Request::PauseContainer(ContainerRef { id }) => self.freeze(asked, &id, true),
            Request::ResumeContainer(ContainerRef { id }) => self.freeze(asked, &id, false),
            Request::UpdateContainer(update) => self.update_container(&update),
            Request::UpdateFiles(update) => self.update_files(&update),
            Request::DeleteContainer(ContainerRef { id }) => self.delete_container(asked, &id),
            Request::ListContainers(_) => Ok(Answer::now(self.list_containers())),
            Request::ContainerMetrics(ContainerRef { id }) => {
                let container = self.containers.get(&id).map_err(|error| error.to_failure())?;
                let metrics = container::metrics::read(&container.cgroup);
                Ok(Answer::now(Reply::ContainerMetrics(metrics)))
            }
            Request::ReadArchive(request) => self.read_archive(asked, &request),
            Request::WriteArchive(request) => self.write_archive(asked, &request),
            Request::StatPath(request) => self.stat_path(asked, &request),
            Request::ReadChanges(request) => self.read_changes(asked, &request),
            Request::ConfigureNetwork(request) => {
                done(network::configure(&request, &mut self.spare_cards))
            }
            Request::SetClock(request) => done(clock::set(&request)),
            Request::ListProcesses(ContainerRef { id }) => self.list_processes(asked, &id),
            _ => Err(failure(FailureKind::Unsupported, "this agent cannot do that yet")),
        }
    }

    fn exec(&mut self, asked: Asked, exec: &Exec) -> Result<Answer, Failure> {
        self.admit_session()?;
        let container = match exec.container.as_str() {
            "" => None,
            id => Some(self.containers.get(id).map_err(|error| error.to_failure())?),
        };
        if let Some(container) = container {
            container.require(&[State::Running]).map_err(|error| error.to_failure())?;
        }
        let spawned = spawn::spawn(exec, &self.file_limit, container);
        let (child, streams) = spawned.map_err(|error| error.to_failure())?;
        let tie = if exec.detach { Tie::Detached } else { Tie::Attached };
        self.add_task(
            child,
            Some(asked),
            Purpose::Command { streams, tie, inline: exec.inline_output },
        );
        Ok(Answer::Later)
    }

    /// Whether there is room for one more command.
    pub(super) fn admit_session(&self) -> Result<(), Failure> {
        if self.sessions.len() + self.tasks.len() < MAX_SESSIONS {
            return Ok(());
        }
        let text = "the agent runs as many commands as it can";
        Err(failure(FailureKind::LimitReached, text))
    }

    /// Takes in all streams that the host has begun before now, with what they carry.
    fn take_in_streams(&mut self) {
        self.accept();
        let fresh = self.connections.iter().filter(|(_, c)| c.stage == Stage::Fresh);
        let fresh: Vec<Token> = fresh.map(|(token, _)| *token).collect();
        for token in fresh {
            self.serve(Wake { token, hung_up: false, side: Side::Source });
        }
    }

    fn power_off(&mut self, request: PowerOff) -> Answer {
        self.end = Some(End::Power(request.mode()));
        Answer::now(Reply::Done(Done {}))
    }
}

impl Answer {
    /// A reply at once.
    pub(super) fn now(reply: Reply) -> Self {
        Self::Now(Box::new(reply))
    }
}

impl ToFailure for mounts::MountError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NotAbsolute(_) => FailureKind::InvalidRequest,
            Self::CreateTarget { .. } | Self::Mount { .. } | Self::Unmount { .. } => {
                FailureKind::System
            }
        }
    }
}

/// What becomes of a request.
pub(super) enum Answer {
    /// This is the reply.
    Now(Box<Reply>),
    /// Something replies when it has come so far.
    Later,
}

fn done(result: Result<(), impl ToFailure + 'static>) -> Result<Answer, Failure> {
    match result {
        Ok(()) => Ok(Answer::now(Reply::Done(Done {}))),
        Err(error) => Err(error.to_failure()),
    }
}
