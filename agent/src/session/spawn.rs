//! Starting a command: what the agent's side does. The child's is [`crate::program`].

use std::{io, os::fd::OwnedFd};

use agent_protocol::message::{Exec, Failure, FailureKind, Reply};
use rustix::process::Pid;

use super::streams::{Streams, StreamsError};
use crate::{
    child::{self, Child, Place, Received},
    container::{Container, ContainerError},
    failure::{ToFailure, failure},
    program::{Launch, Standard, file_limit::FileLimit},
};

/// A command could not be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error(transparent)]
    Streams(#[from] StreamsError),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error("Failed to start a process")]
    Fork(#[source] io::Error),
}

impl ToFailure for SpawnError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Streams(error) => error.kind(),
            Self::Container(error) => error.kind(),
            Self::Fork(_) => FailureKind::System,
        }
    }
}

/// Begins what `exec` describes, in a session of its own, in the machine or in `container`. Its
/// channel ends when the program runs.
pub(crate) fn spawn(
    exec: &Exec,
    file_limit: &FileLimit,
    container: Option<&Container>,
) -> Result<(Child, Streams), SpawnError> {
    let (streams, standard) = Streams::open(exec)?;
    let inside = container.map(Container::inside).transpose()?;
    let contained = inside.is_some();
    let launch = Launch {
        exec,
        standard,
        file_limit,
        compiled: container.and_then(Container::compiled),
        on_console: false,
        contained,
        init: false,
    };
    let place = Place {
        pid_namespace: inside.and_then(|inside| inside.processes()),
        cgroup: container.map(|container| container.cgroup.folder()),
        ..Place::default()
    };
    let mut keep = launch.standard.descriptors();
    keep.extend(inside.iter().flat_map(|inside| inside.descriptors()));
    let child = child::spawn(&place, &keep, |channel| {
        launch.run(channel, || inside.map_or(Ok(()), |inside| inside.enter()))
    });
    Ok((child.map_err(SpawnError::Fork)?, streams))
}

/// Starts the program of `exec` with `terminal` for its three standard descriptors.
pub(crate) fn spawn_on(
    exec: &Exec,
    terminal: &OwnedFd,
    file_limit: &FileLimit,
) -> Result<Pid, Failure> {
    let standard =
        Standard::all(terminal).map_err(|error| failure(FailureKind::System, error.to_string()))?;
    let launch = Launch {
        exec,
        standard,
        file_limit,
        compiled: None,
        on_console: true,
        contained: false,
        init: false,
    };
    let keep = launch.standard.descriptors();
    let child = child::spawn(&Place::default(), &keep, |channel| launch.run(channel, || Ok(())));
    let child = child.map_err(|source| SpawnError::Fork(source).to_failure())?;
    match child.channel.wait() {
        Received::Message(reply, _) => match *reply {
            Reply::Failure(failure) => Err(failure),
            _ => Ok(child.pid),
        },
        _ => Ok(child.pid),
    }
}
