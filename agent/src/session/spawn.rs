//! Starting a command.

// Only for the hook that runs between fork and exec.
#![allow(unsafe_code)]

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{Command, Stdio as StdStdio},
};

use agent_protocol::message::{Exec, FailureKind, Stdio};
use nix::sys::signal::SigSet;
use rustix::{
    fs::{self, Mode, OFlags},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, fchdir, ioctl_tiocsctty, setsid},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};

use super::{
    file_limit::FileLimit,
    terminal::Terminal,
    user::{User, UserError},
};

/// The `PATH` of a command that sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where in an error number from the child the failed step is told apart from exec itself.
const STEP_SHIFT: u32 = 16;
const STEP_MASK: i32 = (1 << STEP_SHIFT) - 1;

/// A command could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("No program given")]
    Empty,
    #[error("Invalid environment entry {0:?}: not NAME=value")]
    BadVariable(String),
    #[error("An argument, variable or path contains a NUL byte")]
    Nul,
    #[error("Standard input and output cannot be the same as standard output")]
    BadStdio,
    #[error(transparent)]
    User(UserError),
    #[error("Failed to enter working directory {path:?}")]
    Cwd { path: String, source: io::Error },
    #[error("Failed to take the user's identity")]
    Identity(#[source] io::Error),
    #[error("Failed to make the command's pipes or terminal")]
    Streams(#[source] io::Error),
    #[error("No such program: {0:?}")]
    NotFound(String),
    #[error("Failed to execute {program:?}")]
    NotExecutable { program: String, source: io::Error },
    #[error("Failed to start {program:?}")]
    Fork { program: String, source: io::Error },
}

impl SpawnError {
    /// How the host is told.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Empty | Self::BadVariable(_) | Self::Nul | Self::BadStdio => {
                FailureKind::InvalidRequest
            }
            Self::User(UserError::Read { .. })
            | Self::Identity(_)
            | Self::Streams(_)
            | Self::Fork { .. } => FailureKind::System,
            Self::User(_) => FailureKind::NoSuchUser,
            Self::Cwd { .. } => FailureKind::WorkingDirectory,
            Self::NotFound(_) => FailureKind::ProgramNotFound,
            Self::NotExecutable { .. } => FailureKind::NotExecutable,
        }
    }
}

/// A started command and our ends of its streams, all non-blocking.
pub(crate) struct Spawned {
    pub(crate) pid: Pid,
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) terminal: Option<Terminal>,
}

/// What the child does between fork and exec, as data: nothing may be allocated there.
struct Entry {
    user: Option<User>,
    cwd: OwnedFd,
    owns_terminal: bool,
    file_limit: FileLimit,
}

/// The steps of [`Entry::enter`], added to the error number above [`STEP_SHIFT`].
#[derive(Clone, Copy)]
enum Step {
    Session = 1,
    Identity = 2,
    Cwd = 3,
}

impl Entry {
    fn enter(&self) -> Result<(), (Step, Errno)> {
        let at = |step| move |errno| (step, errno);
        // The agent takes signals as events; a program expects them to act.
        SigSet::empty().thread_set_mask().map_err(|_| (Step::Session, Errno::INVAL))?;
        setsid().map_err(at(Step::Session))?;
        self.file_limit.restore().map_err(at(Step::Session))?;
        if self.owns_terminal {
            // Not a terminal (a machine without a console), or another session's already: then
            // there is no job control.
            let _ = ioctl_tiocsctty(rustix::stdio::stdin());
        }
        if let Some(user) = &self.user {
            // In the child there is one thread, so the thread's identity is the process's.
            set_thread_groups(&user.groups).map_err(at(Step::Identity))?;
            set_thread_gid(user.gid).map_err(at(Step::Identity))?;
            set_thread_uid(user.uid).map_err(at(Step::Identity))?;
        }
        fchdir(&self.cwd).map_err(at(Step::Cwd))
    }
}

/// Starts what `exec` describes, in a session of its own.
pub(crate) fn spawn(exec: &Exec, file_limit: &FileLimit) -> Result<Spawned, SpawnError> {
    let user = match exec.user.as_str() {
        "" => None,
        spec => Some(User::find(spec).map_err(SpawnError::User)?),
    };
    let home = user.as_ref().map_or("/root", |user| user.home.as_str());
    let mut command = command(exec, home)?;
    let mut streams = Streams::default();
    streams.connect(&mut command, exec, user.as_ref())?;
    let cwd = open_cwd(&exec.cwd)?;
    let owns_terminal = exec.terminal.is_some();
    let entry = Entry { user, cwd, owns_terminal, file_limit: file_limit.clone() };
    start(command, exec, entry).map(|pid| streams.with_pid(pid))
}

/// Starts the program of `exec` with `terminal` for its three standard descriptors.
pub(crate) fn spawn_on(
    exec: &Exec,
    terminal: &OwnedFd,
    file_limit: &FileLimit,
) -> Result<Pid, SpawnError> {
    let mut command = command(exec, "/root")?;
    let duplicate = || terminal.try_clone().map(StdStdio::from).map_err(SpawnError::Streams);
    command.stdin(duplicate()?).stdout(duplicate()?).stderr(duplicate()?);
    let cwd = open_cwd(&exec.cwd)?;
    let entry = Entry { user: None, cwd, owns_terminal: true, file_limit: file_limit.clone() };
    start(command, exec, entry)
}

/// The program with its arguments and environment.
fn command(exec: &Exec, home: &str) -> Result<Command, SpawnError> {
    let (program, arguments) = exec.argv.split_first().ok_or(SpawnError::Empty)?;
    let mut command = Command::new(OsStr::from_bytes(program));
    command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
    set_environment(&mut command, exec, home)?;
    Ok(command)
}

fn start(mut command: Command, exec: &Exec, entry: Entry) -> Result<Pid, SpawnError> {
    // SAFETY: `Entry::enter` makes system calls on data that exists already; it neither allocates
    // nor takes a lock, so it may run in a forked child.
    unsafe {
        command.pre_exec(move || {
            entry.enter().map_err(|(step, errno)| {
                io::Error::from_raw_os_error(errno.raw_os_error() | (step as i32) << STEP_SHIFT)
            })
        });
    }
    let child = command.spawn().map_err(|error| describe(error, exec))?;
    // Whoever ends is reaped by the server; the handle does nothing when dropped.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| SpawnError::NotFound("a process id".into()))
}

/// Turns a spawn's error, with the step that the child may have put into it, into ours.
fn describe(error: io::Error, exec: &Exec) -> SpawnError {
    let program = || lossy(exec.argv.first().map_or(&[], Vec::as_slice));
    let code = error.raw_os_error().unwrap_or(0);
    let source = io::Error::from_raw_os_error(code & STEP_MASK);
    if code == 0 {
        return SpawnError::Nul;
    }
    match code >> STEP_SHIFT {
        step if step == Step::Session as i32 => SpawnError::Streams(source),
        step if step == Step::Identity as i32 => SpawnError::Identity(source),
        step if step == Step::Cwd as i32 => SpawnError::Cwd { path: lossy(&exec.cwd), source },
        _ => match Errno::from_raw_os_error(code) {
            Errno::NOENT => SpawnError::NotFound(program()),
            Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE => {
                SpawnError::Fork { program: program(), source }
            }
            _ => SpawnError::NotExecutable { program: program(), source },
        },
    }
}

fn set_environment(command: &mut Command, exec: &Exec, home: &str) -> Result<(), SpawnError> {
    command.env_clear().env("PATH", DEFAULT_PATH).env("HOME", home);
    if exec.terminal.is_some() {
        command.env("TERM", "xterm");
    }
    for variable in &exec.env {
        let split = variable.iter().position(|byte| *byte == b'=').filter(|at| *at > 0);
        let split = split.ok_or_else(|| SpawnError::BadVariable(lossy(variable)))?;
        let (name, value) = variable.split_at(split);
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(&value[1..]));
    }
    Ok(())
}

/// Opened here and entered in the child, as the child's user.
fn open_cwd(path: &[u8]) -> Result<OwnedFd, SpawnError> {
    let path = if path.is_empty() { b"/".as_slice() } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty())
        .map_err(|errno| SpawnError::Cwd { path: lossy(path), source: errno.into() })
}

/// Our ends of the streams.
#[derive(Default)]
struct Streams {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    terminal: Option<Terminal>,
}

impl Streams {
    /// Gives `command` its ends and keeps ours.
    fn connect(
        &mut self,
        command: &mut Command,
        exec: &Exec,
        user: Option<&User>,
    ) -> Result<(), SpawnError> {
        if let Some(size) = exec.terminal {
            let (terminal, peer) = Terminal::open(size, user).map_err(SpawnError::Streams)?;
            let duplicate = || peer.try_clone().map(StdStdio::from).map_err(SpawnError::Streams);
            command.stdin(duplicate()?).stdout(duplicate()?).stderr(duplicate()?);
            self.terminal = Some(terminal);
            return Ok(());
        }
        if exec.stdin() == Stdio::SameAsStdout || exec.stdout() == Stdio::SameAsStdout {
            return Err(SpawnError::BadStdio);
        }
        let (ours, theirs) = input(exec.stdin()).map_err(SpawnError::Streams)?;
        command.stdin(theirs);
        self.stdin = ours;
        let (ours, theirs) = output(exec.stdout()).map_err(SpawnError::Streams)?;
        self.stdout = ours;
        let same = theirs.as_ref().map(OwnedFd::try_clone).transpose();
        let same = same.map_err(SpawnError::Streams)?;
        command.stdout(theirs.map_or_else(StdStdio::null, StdStdio::from));
        if exec.stderr() == Stdio::SameAsStdout {
            command.stderr(same.map_or_else(StdStdio::null, StdStdio::from));
            return Ok(());
        }
        let (ours, theirs) = output(exec.stderr()).map_err(SpawnError::Streams)?;
        command.stderr(theirs.map_or_else(StdStdio::null, StdStdio::from));
        self.stderr = ours;
        Ok(())
    }

    fn with_pid(self, pid: Pid) -> Spawned {
        let Self { stdin, stdout, stderr, terminal } = self;
        Spawned { pid, stdin, stdout, stderr, terminal }
    }
}

fn input(stdio: Stdio) -> io::Result<(Option<OwnedFd>, StdStdio)> {
    if stdio != Stdio::Stream {
        return Ok((None, StdStdio::null()));
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    set_nonblocking(&write)?;
    Ok((Some(write), read.into()))
}

fn output(stdio: Stdio) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    if stdio != Stdio::Stream {
        return Ok((None, None));
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    set_nonblocking(&read)?;
    Ok((Some(read), Some(write)))
}

/// Only our end: the command's must block as programs expect.
fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fs::fcntl_getfl(&fd)?;
    Ok(fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
