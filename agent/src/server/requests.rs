//! Carrying out the host's requests.

use std::{error::Error, io};

use agent_protocol::{
    message::{
        Attach, Done, Exec, Failure, FailureKind, Open, PowerOff, Reply, Request, Resize, Started,
        ToAgent,
    },
    version,
};

use super::{End, Server, Stage};
use crate::{
    machine::mounts,
    metrics,
    reactor::Token,
    session::{SessionError, spawn},
};

impl Server {
    pub(super) fn request(&mut self, token: Token, message: ToAgent) {
        let stage = self.connections.get(&token).map(|connection| connection.stage);
        let id = message.id;
        match (stage, message.request) {
            (Some(Stage::Fresh), Some(Request::Attach(attach))) => self.attach(token, attach),
            (Some(_), Some(Request::Open(open))) => self.open_control(token, id, open),
            (Some(Stage::Control), Some(request)) => {
                let reply = self.carry_out(token, id, request);
                self.reply(token, id, reply.unwrap_or_else(Reply::Failure));
            }
            (Some(Stage::Control), None) => {
                let text = "the agent does not know this request".to_owned();
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

    fn carry_out(&mut self, token: Token, id: u64, request: Request) -> Result<Reply, Failure> {
        match request {
            Request::Exec(exec) => self.exec(token, id, &exec),
            Request::Signal(signal) => done(self.sessions.signal(signal)),
            Request::Resize(Resize { session, size }) => {
                let size = size.ok_or_else(|| {
                    failure(FailureKind::InvalidRequest, "No size given".to_owned())
                })?;
                done(self.sessions.resize(session, size))
            }
            Request::Metrics(_) => Ok(Reply::Metrics(metrics::read())),
            Request::Mount(mount) => done(mounts::mount_for_host(&mount)),
            Request::Unmount(unmount) => done(mounts::unmount_for_host(&unmount)),
            Request::PowerOff(power_off) => Ok(self.power_off(power_off)),
            Request::Open(_) | Request::Attach(_) => {
                let text = "the connection is in use already".to_owned();
                Err(failure(FailureKind::InvalidRequest, text))
            }
            _ => {
                let text = "this agent runs no containers".to_owned();
                Err(failure(FailureKind::Unsupported, text))
            }
        }
    }

    fn exec(&mut self, token: Token, id: u64, exec: &Exec) -> Result<Reply, Failure> {
        if self.sessions.is_full() {
            let text = "the agent runs as many commands as it can".to_owned();
            return Err(failure(FailureKind::LimitReached, text));
        }
        let spawned =
            spawn::spawn(exec, &self.file_limit).map_err(|error| describe(error.kind(), &error))?;
        let pid = spawned.pid.as_raw_nonzero().get().unsigned_abs();
        let session = self.sessions.add(spawned, (token, id), exec.detach);
        Ok(Reply::Started(Started { session, pid }))
    }

    fn power_off(&mut self, request: PowerOff) -> Reply {
        self.end = Some(End::Power(request.mode()));
        Reply::Done(Done {})
    }
}

/// Errors that the host is told as failures.
trait ToFailure: Error {
    fn kind(&self) -> FailureKind;
}

impl ToFailure for SessionError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::None(_) => FailureKind::NoSuchSession,
            Self::NoTerminal(_) | Self::BadSignal(_) => FailureKind::InvalidRequest,
            Self::Signal { .. } | Self::Resize { .. } => FailureKind::System,
        }
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

fn done(result: Result<(), impl ToFailure + 'static>) -> Result<Reply, Failure> {
    match result {
        Ok(()) => Ok(Reply::Done(Done {})),
        Err(error) => Err(describe(error.kind(), &error)),
    }
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind: kind.into(), message, errno: 0 }
}

/// The whole chain of causes, as the host cannot ask for it, with the error number in it.
fn describe(kind: FailureKind, error: &(dyn Error + 'static)) -> Failure {
    let mut described = failure(kind, error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        described.message.push_str(": ");
        described.message.push_str(&error.to_string());
        if let Some(errno) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            described.errno = errno;
        }
        cause = error.source();
    }
    described
}
