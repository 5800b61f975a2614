//! A container's first process, from its birth to its program.

use std::{io, os::fd::AsFd};

use agent_protocol::message::{CreateContainer, Done, Failure, FailureKind, Reply};
use rustix::{
    fs::{Mode, OFlags, open},
    termios::ttyname,
};

use super::{
    Container, ContainerError, State,
    cgroup::Cgroup,
    inside::Shared,
    path::{Missing, resolve},
    setup::{self, Machine, SetupError},
    tree::Tree,
};
use crate::{
    child::{self, Channel, Child, NewNamespaces, Place, Received},
    failure::{ToFailure, failure},
    program::{Launch, LaunchError, file_limit::FileLimit, seccomp::Compiled},
    session::streams::Streams,
};

/// Begins to make a container. Its first process says over the channel when it is made.
pub(crate) fn create(
    request: &CreateContainer,
    machine: &Machine,
    file_limit: &FileLimit,
) -> Result<(Container, Child), ContainerError> {
    let id = &request.id;
    let process = request.process.as_ref();
    let process = process.ok_or_else(|| ContainerError::NoProcess(id.clone()))?;
    let cgroup = Cgroup::create(&machine.cgroups, id)?;
    cgroup.limit(&request.resources.unwrap_or_default())?;
    let (streams, standard) = Streams::open(process)?;
    // Of one that cannot be made the child tells.
    let compiled = process.confinement.as_deref().and_then(|asked| Compiled::of(asked).ok());
    let launch = Launch {
        exec: process,
        standard,
        file_limit,
        compiled: compiled.as_ref(),
        on_console: false,
        contained: true,
        init: request.init,
    };
    let place = Place {
        namespaces: NewNamespaces {
            mounts: true,
            processes: !request.share_pid,
            ipc: !request.share_ipc,
        },
        pid_namespace: None,
        cgroup: Some(cgroup.folder()),
    };
    let child = child::spawn(&place, &launch.standard.descriptors(), |channel| {
        run(request, &launch, machine, channel)
    });
    let child = child.map_err(|source| ContainerError::Fork { id: id.clone(), source })?;
    let container = Container {
        id: id.clone(),
        state: State::Creating,
        pid: Some(child.pid),
        number: child.pid.as_raw_nonzero().get().unsigned_abs(),
        cgroup,
        privileged: request.privileged,
        inside: None,
        streams,
        session: 0,
        end: None,
        waiters: Vec::new(),
        freezing: None,
        deleting: None,
        unmade: None,
        shared: Shared::of(request),
        compiled,
        files: request.files.iter().map(|file| file.path.clone()).collect(),
    };
    Ok((container, child))
}

/// The first process. Returns when it cannot become its program.
fn run(
    request: &CreateContainer,
    launch: &Launch<'_>,
    machine: &Machine,
    channel: &Channel,
) -> Result<u8, Failure> {
    let told = |error: LaunchError| error.to_failure();
    launch.install_standard().map_err(told)?;
    let kept = setup::set_up(request, machine).map_err(|error| error.to_failure())?;
    let prepared = launch.prepare(channel).map_err(told)?;
    if launch.exec.terminal.is_some() {
        bind_console().map_err(|error| error.to_failure())?;
    }
    let folders = [kept.upper.as_fd(), kept.lower.as_fd(), kept.files.as_fd()];
    let ready = channel.send(Reply::Done(Done {}), &folders);
    ready.map_err(|error| failure(FailureKind::System, error.to_string()))?;
    match channel.wait() {
        Received::Message(..) => launch.finish(&prepared, channel).map_err(told),
        // The agent is gone, or deletes the container.
        Received::Blocked | Received::Ended => Ok(0),
    }
}

/// `/dev/console` is the container's terminal.
fn bind_console() -> Result<(), SetupError> {
    let failed = |source| SetupError::Mount {
        what: "the terminal".to_owned(),
        target: "/dev/console".to_owned(),
        source,
    };
    let bind = || -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let terminal = open(ttyname(rustix::stdio::stdin(), Vec::new())?, flags, Mode::empty())?;
        let root = open("/", flags, Mode::empty())?;
        let console = resolve(root, b"/dev/console", Missing::File)?;
        Tree::bind(terminal, "", false)?.attach(console)
    };
    bind().map_err(failed)
}
