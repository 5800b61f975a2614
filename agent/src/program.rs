//! Becoming a program: what a child does between fork and `execve`.
//!
//! The order is a chain of rights: descriptors of the machine first, then the container's
//! namespaces, what needs root there, the user's identity, and what the user may decide last.

mod capabilities;
mod environment;
pub(crate) mod file_limit;
mod identity;
mod init;
mod limits;
mod search;
pub(crate) mod seccomp;
pub(crate) mod terminal;
pub(crate) mod user;

use std::{
    convert::Infallible,
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use agent_protocol::message::{Confinement, Done, Exec, Failure, FailureKind, Reply};
use nix::sys::signal::SigSet;
use rustix::{
    fs::{Mode, OFlags, open},
    process::{chdir, ioctl_tiocsctty, setsid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};

use crate::{child::Channel, failure::ToFailure};
use file_limit::FileLimit;
use identity::Identity;
use seccomp::Compiled;
use terminal::Terminal;
use user::{User, UserError};

/// A child could not become its program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("No program given")]
    Empty,
    #[error("Invalid environment entry {0:?}: not NAME=value")]
    BadVariable(String),
    #[error("An argument, variable or path contains a NUL byte")]
    Nul,
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Limit(#[from] limits::LimitError),
    #[error(transparent)]
    Seccomp(#[from] seccomp::ProfileError),
    #[error("No such capability: {0:?}")]
    NoCapability(String),
    #[error("Failed to enter working directory {path:?}")]
    Cwd { path: String, source: io::Error },
    #[error("Failed to enter the container")]
    Enter(#[source] io::Error),
    #[error("Failed to take the user's identity")]
    Identity(#[source] io::Error),
    #[error("Failed to make the command's pipes or terminal")]
    Streams(#[source] io::Error),
    #[error("Failed to start the container's init")]
    Init(#[source] io::Error),
    #[error("No such program: {0:?}")]
    NotFound(String),
    #[error("Failed to execute {program:?}")]
    NotExecutable { program: String, source: io::Error },
}

impl ToFailure for LaunchError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Empty | Self::BadVariable(_) | Self::Nul | Self::NoCapability(_) => {
                FailureKind::InvalidRequest
            }
            Self::User(UserError::Read { .. })
            | Self::Enter(_)
            | Self::Identity(_)
            | Self::Init(_)
            | Self::Streams(_) => FailureKind::System,
            Self::Limit(error) => error.kind(),
            Self::Seccomp(error) => error.kind(),
            Self::User(_) => FailureKind::NoSuchUser,
            Self::Cwd { .. } => FailureKind::WorkingDirectory,
            Self::NotFound(_) => FailureKind::ProgramNotFound,
            Self::NotExecutable { .. } => FailureKind::NotExecutable,
        }
    }
}

/// What a command's standard descriptors are; `None` is `/dev/null`.
#[derive(Default)]
pub(crate) struct Standard {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

impl Standard {
    /// One descriptor for all three.
    pub(crate) fn all(terminal: &OwnedFd) -> io::Result<Self> {
        let duplicate = || terminal.try_clone().map(Some);
        Ok(Self { stdin: duplicate()?, stdout: duplicate()?, stderr: duplicate()? })
    }

    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        crate::child::present([&self.stdin, &self.stdout, &self.stderr])
    }

    /// Makes them this process's own.
    pub(crate) fn install(&self) -> io::Result<()> {
        let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        dup2_stdin(self.stdin.as_ref().unwrap_or(&null))?;
        dup2_stdout(self.stdout.as_ref().unwrap_or(&null))?;
        dup2_stderr(self.stderr.as_ref().unwrap_or(&null))?;
        Ok(())
    }
}

/// Everything that decides what a child becomes.
pub(crate) struct Launch<'a> {
    pub(crate) exec: &'a Exec,
    pub(crate) standard: Standard,
    pub(crate) file_limit: &'a FileLimit,
    /// The filter of system calls of the container that it is in, where that is made.
    pub(crate) compiled: Option<&'a Compiled>,
    /// The terminal is there already, as standard input.
    pub(crate) on_console: bool,
    /// In a container: root enters the working directory, and the user needs no right to it.
    pub(crate) contained: bool,
    /// Stay as the program's parent and the first process of the container.
    pub(crate) init: bool,
}

/// The stages of a launch, for those that do something between them.
pub(crate) struct Prepared {
    user: Option<User>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Launch<'_> {
    /// Becomes the program. `enter` goes to where it is to run. Returns only when that fails.
    pub(crate) fn run(
        &self,
        channel: &Channel,
        enter: impl FnOnce() -> io::Result<()>,
    ) -> Result<u8, Failure> {
        let run = || -> Result<u8, LaunchError> {
            self.standard.install().map_err(LaunchError::Streams)?;
            enter().map_err(LaunchError::Enter)?;
            let prepared = self.prepare(channel)?;
            self.finish(&prepared, channel)
        };
        run().map_err(|error| error.to_failure())
    }

    /// Makes the standard descriptors this process's own.
    pub(crate) fn install_standard(&self) -> Result<(), LaunchError> {
        self.standard.install().map_err(LaunchError::Streams)
    }

    /// What is read from the files of where it is to run, and the terminal there.
    pub(crate) fn prepare(&self, channel: &Channel) -> Result<Prepared, LaunchError> {
        let exec = self.exec;
        let arguments = exec.argv.iter().map(|word| CString::new(word.as_slice()));
        let arguments: Vec<_> =
            arguments.collect::<Result<_, _>>().map_err(|_| LaunchError::Nul)?;
        if arguments.is_empty() {
            return Err(LaunchError::Empty);
        }
        let user = match exec.user.as_str() {
            "" if self.contained => Some(User::find("0")?),
            "" => None,
            spec => Some(User::find(spec)?),
        };
        let home = user.as_ref().map_or("/root", |user| user.home.as_str());
        let environment = environment::build(exec, home)?;
        if let Some(size) = exec.terminal {
            let (terminal, peer) =
                Terminal::open(size, user.as_ref()).map_err(LaunchError::Streams)?;
            Standard::all(&peer).and_then(|all| all.install()).map_err(LaunchError::Streams)?;
            channel
                .send(Reply::Done(Done {}), &[terminal.as_fd()])
                .map_err(LaunchError::Streams)?;
        }
        Ok(Prepared { user, arguments, environment })
    }

    /// Gives up rights and executes the program.
    pub(crate) fn finish(&self, prepared: &Prepared, channel: &Channel) -> Result<u8, LaunchError> {
        // The agent takes signals as events; a program expects them to act.
        SigSet::empty().thread_set_mask().map_err(|errno| LaunchError::Identity(errno.into()))?;
        self.file_limit.restore().map_err(|errno| LaunchError::Identity(errno.into()))?;
        let everything = Confinement::default();
        let confinement = self.exec.confinement.as_deref();
        limits::apply(confinement.unwrap_or(&everything))?;
        if self.contained {
            self.enter_cwd()?;
        }
        let (user, compiled) = (prepared.user.as_ref(), self.compiled);
        Identity { user, confinement, compiled }.take()?;
        if !self.contained {
            self.enter_cwd()?;
        }
        if self.init {
            match init::run(channel, || self.execute(prepared))? {}
        }
        match self.execute(prepared)? {}
    }

    fn enter_cwd(&self) -> Result<(), LaunchError> {
        let path = if self.exec.cwd.is_empty() { b"/" } else { self.exec.cwd.as_slice() };
        chdir(path).map_err(|errno| LaunchError::Cwd { path: lossy(path), source: errno.into() })
    }

    fn execute(&self, prepared: &Prepared) -> Result<Infallible, LaunchError> {
        setsid().map_err(|errno| LaunchError::Identity(errno.into()))?;
        if self.exec.terminal.is_some() || self.on_console {
            // Not a terminal (a machine without a console), or another session's already: then
            // there is no job control.
            let _ = ioctl_tiocsctty(rustix::stdio::stdin());
        }
        search::execute(&prepared.arguments, &prepared.environment)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
