//! Containers: a root file system, namespaces, a control group and a first process.
//!
//! The first process is born at the container's creation, into its control group and namespaces.
//! It makes the container's file systems itself ([`setup`]), says that it is ready, and executes
//! its program when the host says start. The agent keeps descriptors of the namespaces: by them
//! commands enter, and by them files are reached when all processes have ended.

pub(crate) mod cgroup;
pub(crate) mod devices;
pub(crate) mod disks;
mod first;
mod inside;
mod kernel_files;
mod masks;
pub(crate) mod metrics;
mod own_files;
pub(crate) mod path;
mod populate;
pub(crate) mod processes;
mod readahead;
mod rootfs;
pub(crate) mod setup;
mod tree;
mod volumes;

use std::{
    io,
    os::fd::OwnedFd,
    time::{SystemTime, UNIX_EPOCH},
};

use agent_protocol::message::{
    ContainerEnd, ContainerFile, ContainerState, ContainerStatus, Failure, FailureKind,
};
use rustix::process::{Pid, Signal, WaitStatus, kill_process};

use crate::{
    failure::ToFailure, program::seccomp::Compiled, reactor::Token, session::streams::Streams,
};
use cgroup::{Cgroup, CgroupError};
pub(crate) use first::create;
pub(crate) use inside::Inside;
use inside::Shared;
use setup::Machine;

/// The most containers of one machine.
const MOST: usize = 128;

/// The longest id.
const LONGEST_ID: usize = 64;

/// A request, by its connection and number.
pub(crate) type Asked = (Token, u64);

/// A request about a container failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainerError {
    #[error("No such container: {0:?}")]
    None(String),
    #[error("Container {0:?} exists already")]
    Exists(String),
    #[error("Invalid container id: {0:?}")]
    BadId(String),
    #[error("The machine has as many containers as it can")]
    TooMany,
    #[error("Container {id:?} is {state}")]
    State { id: String, state: &'static str },
    #[error("No process given for container {0:?}")]
    NoProcess(String),
    #[error("Invalid signal number: {0}")]
    BadSignal(u32),
    #[error("Failed to signal container {id:?}")]
    Signal { id: String, source: io::Error },
    #[error("Container {id:?} was not given a file {path}")]
    NoFile { id: String, path: String },
    #[error("Failed to write {path} of container {id:?}")]
    File { id: String, path: String, source: io::Error },
    #[error("Failed to open what container {id:?} consists of")]
    Open { id: String, source: io::Error },
    #[error("Failed to close the machine's devices to container {id:?}")]
    Devices { id: String, source: io::Error },
    #[error("Failed to start a process for container {id:?}")]
    Fork { id: String, source: io::Error },
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Streams(#[from] crate::session::streams::StreamsError),
}

impl ToFailure for ContainerError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::None(_) => FailureKind::NoSuchContainer,
            Self::Exists(_) | Self::State { .. } => FailureKind::ContainerState,
            Self::BadId(_) | Self::NoProcess(_) | Self::BadSignal(_) | Self::NoFile { .. } => {
                FailureKind::InvalidRequest
            }
            Self::TooMany => FailureKind::LimitReached,
            Self::Cgroup(error) => error.kind(),
            Self::Streams(error) => error.kind(),
            Self::Signal { .. }
            | Self::File { .. }
            | Self::Open { .. }
            | Self::Devices { .. }
            | Self::Fork { .. } => FailureKind::System,
        }
    }
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its first process makes its file systems.
    Creating,
    /// Its first process waits for the word.
    Created,
    /// Its first process is about to execute its program.
    Starting,
    Running,
    Paused,
    Ended,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Creating => "being made",
            Self::Created => "not started",
            Self::Starting => "being started",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended => "not running",
        }
    }
}

/// One container.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) cgroup: Cgroup,
    /// The first process; `None` once it has been reaped.
    pub(crate) pid: Option<Pid>,
    /// Its namespaces and file systems, once they are made.
    pub(crate) inside: Option<Inside>,
    /// Our ends of the first process's streams, until it is started.
    pub(crate) streams: Streams,
    /// The first process as a session, once started.
    pub(crate) session: u64,
    pub(crate) end: Option<ContainerEnd>,
    /// Who wants to know of the end.
    pub(crate) waiters: Vec<Asked>,
    /// Who waits for all processes to stand still or go on.
    pub(crate) freezing: Option<Asked>,
    /// Who waits for the container to be gone.
    pub(crate) deleting: Option<Asked>,
    /// Why it could not be made.
    pub(crate) unmade: Option<Failure>,
    /// All devices of the machine are its own.
    privileged: bool,
    /// The process id, for the host to see.
    number: u32,
    shared: Shared,
    /// The filter of its processes' system calls.
    compiled: Option<Compiled>,
    /// The paths of the files that the host writes.
    files: Vec<Vec<u8>>,
}

impl Container {
    /// Whether it is in one of `states`.
    pub(crate) fn require(&self, states: &[State]) -> Result<(), ContainerError> {
        if states.contains(&self.state) && self.deleting.is_none() {
            return Ok(());
        }
        let state = if self.deleting.is_some() { "being deleted" } else { self.state.name() };
        Err(ContainerError::State { id: self.id.clone(), state })
    }

    /// Its namespaces and file systems.
    pub(crate) fn inside(&self) -> Result<&Inside, ContainerError> {
        self.inside
            .as_ref()
            .ok_or_else(|| ContainerError::State { id: self.id.clone(), state: self.state.name() })
    }

    /// The filter of its processes' system calls, where it could be made.
    pub(crate) fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    pub(crate) fn status(&self) -> ContainerStatus {
        let state = match self.state {
            State::Creating | State::Created => ContainerState::Created,
            State::Starting | State::Running => ContainerState::Running,
            State::Paused => ContainerState::Paused,
            State::Ended => ContainerState::Ended,
        };
        let started = self.session != 0;
        ContainerStatus {
            id: self.id.clone(),
            state: state.into(),
            session: self.session,
            pid: if started { self.number } else { 0 },
            end: self.end.clone(),
        }
    }

    /// Sends a signal to the first process or to all.
    pub(crate) fn signal(&self, number: u32, all: bool) -> Result<(), ContainerError> {
        self.require(&[State::Created, State::Running, State::Paused])?;
        let signal =
            crate::session::signal::from_number(number).ok_or(ContainerError::BadSignal(number))?;
        if all && signal == Signal::KILL {
            return Ok(self.cgroup.kill()?);
        }
        let processes = if all {
            self.cgroup.processes().into_iter().filter_map(Pid::from_raw).collect()
        } else {
            Vec::from_iter(self.pid)
        };
        for pid in processes {
            match kill_process(pid, signal) {
                Ok(()) => {}
                // One of many that has ended in this moment.
                Err(rustix::io::Errno::SRCH) if all => {}
                Err(errno) => {
                    let id = self.id.clone();
                    return Err(ContainerError::Signal { id, source: errno.into() });
                }
            }
        }
        Ok(())
    }

    /// Notes that the first process is ready, with the folders that it sent.
    pub(crate) fn made(&mut self, folders: [OwnedFd; 3]) -> Result<(), ContainerError> {
        self.close_devices()?;
        let open = || {
            let pid = self.pid.ok_or(io::ErrorKind::NotFound)?;
            Inside::open(pid, self.shared, folders)
        };
        let inside =
            open().map_err(|source| ContainerError::Open { id: self.id.clone(), source })?;
        self.inside = Some(inside);
        self.state = State::Created;
        Ok(())
    }

    /// Its file systems are mounted, so none of its processes needs the machine's disks any more.
    fn close_devices(&self) -> Result<(), ContainerError> {
        if self.privileged || !devices::can_be_closed() {
            return Ok(());
        }
        let closed = devices::close(self.cgroup.folder());
        closed.map_err(|source| ContainerError::Devices { id: self.id.clone(), source })
    }

    /// The paths of the files that the host writes.
    pub(crate) fn files(&self) -> &[Vec<u8>] {
        &self.files
    }

    /// Rewrites files that were given at the creation.
    pub(crate) fn update_files(&self, files: &[ContainerFile]) -> Result<(), ContainerError> {
        let inside = self.inside()?;
        for file in files {
            let path = || path::display(&file.path);
            let index = self.files.iter().position(|known| *known == file.path);
            let index = index
                .ok_or_else(|| ContainerError::NoFile { id: self.id.clone(), path: path() })?;
            own_files::write(&inside.files, index, file).map_err(|source| {
                ContainerError::File { id: self.id.clone(), path: path(), source }
            })?;
        }
        Ok(())
    }

    /// Notes that the first process has been reaped: everything else in it ends with it.
    pub(crate) fn note_end(&mut self, status: WaitStatus) {
        self.pid = None;
        if let Err(error) = self.cgroup.kill() {
            crate::say!("container {}: {error}", self.id);
        }
        let number = |value: Option<i32>| value.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        self.set_end(number(status.exit_status()), number(status.terminating_signal()));
    }

    /// Notes how it ended, unless that is known already.
    pub(crate) fn set_end(&mut self, code: u32, signal: u32) {
        self.state = State::Ended;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oom_killed = self.cgroup.oom_kills() > 0;
        self.end.get_or_insert_with(|| ContainerEnd {
            id: self.id.clone(),
            code,
            signal,
            oom_killed,
            at_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        });
    }

    /// Whether no process of it is left.
    pub(crate) fn is_dead(&self) -> bool {
        self.pid.is_none() && self.cgroup.is_empty()
    }
}

/// All containers, in the order of their creation.
#[derive(Default)]
pub(crate) struct Containers {
    all: Vec<Container>,
}

impl Containers {
    pub(crate) fn get(&self, id: &str) -> Result<&Container, ContainerError> {
        let found = self.all.iter().find(|container| container.id == id);
        found.ok_or_else(|| ContainerError::None(id.to_owned()))
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Result<&mut Container, ContainerError> {
        let found = self.all.iter_mut().find(|container| container.id == id);
        found.ok_or_else(|| ContainerError::None(id.to_owned()))
    }

    /// The container whose first process has this number.
    pub(crate) fn by_pid(&mut self, pid: Pid) -> Option<&mut Container> {
        self.all.iter_mut().find(|container| container.pid == Some(pid))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Container> {
        self.all.iter()
    }

    /// Whether a container of that id could be made.
    pub(crate) fn admit(&self, id: &str) -> Result<(), ContainerError> {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let valid = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(letters);
        if !valid || id.starts_with('.') {
            return Err(ContainerError::BadId(id.to_owned()));
        }
        if self.get(id).is_ok() {
            return Err(ContainerError::Exists(id.to_owned()));
        }
        if self.all.len() >= MOST { Err(ContainerError::TooMany) } else { Ok(()) }
    }

    pub(crate) fn add(&mut self, container: Container) {
        self.all.push(container);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Container> {
        let index = self.all.iter().position(|container| container.id == id)?;
        Some(self.all.remove(index))
    }
}

/// Where an agent that is PID 1 keeps its containers.
pub(crate) fn of_the_machine() -> Machine {
    Machine {
        staging: "/run/bulkhead".into(),
        disks: disks::Disks::Machine,
        cgroups: cgroup::Parent { hierarchy: cgroup::hierarchy(), name: "containers".to_owned() },
        load_modules: true,
    }
}

/// Where an agent that is an ordinary program keeps them, out of the way of others like it.
pub(crate) fn for_trials(disks: std::path::PathBuf) -> Machine {
    let name = format!("bulkhead-{}", std::process::id());
    Machine {
        staging: std::env::temp_dir().join(&name),
        disks: disks::Disks::Folder(disks),
        cgroups: cgroup::Parent { hierarchy: cgroup::hierarchy(), name },
        load_modules: false,
    }
}
