//! Where a stream's characters come from and go to on the host.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::descriptor::Descriptor;

/// Why a backend cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// A file or named pipe for output.
    #[error("failed to open {path} for console output")]
    File {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A socket for a client.
    #[error("failed to listen for a console client at {path}")]
    Listen {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A pseudo-terminal.
    #[error("failed to make a pseudo-terminal for a console")]
    Pty(#[source] io::Error),
    /// The standard input or output.
    #[error("failed to use the standard {name} for a console")]
    Standard {
        /// `input` or `output`.
        name: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A side of the host, already opened: nothing is opened by path later.
#[derive(Debug, Default)]
pub struct Backend {
    pub(super) input: Option<Descriptor>,
    pub(super) output: Option<Descriptor>,
    /// For both directions.
    pub(super) duplex: Option<Descriptor>,
    pub(super) listener: Option<UnixListener>,
    /// The other side of a pseudo-terminal, so that it does not hang up while nobody has it open.
    _terminal: Option<OwnedFd>,
}

impl Backend {
    /// Drops output, has no input.
    pub fn null() -> Self {
        Self::default()
    }

    /// Two descriptors that others use as well, such as the standard streams; their flags are left
    /// alone.
    pub fn streams(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<Self, BackendError> {
        let input_error = |source| BackendError::Standard { name: "input", source };
        let output_error = |source| BackendError::Standard { name: "output", source };
        let input = input.try_clone_to_owned().map_err(input_error)?;
        let output = output.try_clone_to_owned().map_err(output_error)?;
        let input = Descriptor::inherited(input, OFlags::RDONLY).map_err(input_error)?;
        let output = Descriptor::inherited(output, OFlags::WRONLY).map_err(output_error)?;
        Ok(Self { input: Some(input), output: Some(output), ..Self::default() })
    }

    /// The standard input and output.
    pub fn stdio() -> Result<Self, BackendError> {
        Self::streams(io::stdin().as_fd(), io::stdout().as_fd())
    }

    /// Appends output to the file at `path`, which is made if it does not exist, or writes it to
    /// the named pipe there, which needs no reader. A file has at most `limit` bytes: when it
    /// would have more, it is cut down to its last half, or to its last MiB.
    pub fn file(path: &Path, limit: Option<u64>) -> Result<Self, BackendError> {
        let error = |source| BackendError::File { path: path.to_owned(), source };
        // A named pipe without a reader can be opened without waiting only for both directions.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = open(path, flags, mode)
            .or_else(|_| open(path, flags.difference(OFlags::RDWR) | OFlags::WRONLY, mode))
            .map_err(|e| error(e.into()))?;
        let output = Descriptor::own(fd).and_then(|output| output.limited(limit)).map_err(error)?;
        Ok(Self { output: Some(output), ..Self::default() })
    }

    /// A descriptor opened by somebody else, for output.
    pub fn output(fd: OwnedFd) -> Result<Self, BackendError> {
        let output = Descriptor::inherited(fd, OFlags::WRONLY)
            .map_err(|source| BackendError::Standard { name: "output", source })?;
        Ok(Self { output: Some(output), ..Self::default() })
    }

    /// A new pseudo-terminal in raw mode, and the path that clients open.
    pub fn pty() -> Result<(Self, PathBuf), BackendError> {
        Self::open_pty().map_err(BackendError::Pty)
    }

    fn open_pty() -> io::Result<(Self, PathBuf)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(&name, flags, Mode::empty())?;
        let mut attributes = tcgetattr(&terminal)?;
        attributes.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &attributes)?;
        let duplex = Some(Descriptor::own(master)?);
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        Ok((Self { duplex, _terminal: Some(terminal), ..Self::default() }, path))
    }

    /// A new socket at `path` that serves one client at a time. The path must be free.
    pub fn socket(path: &Path) -> Result<Self, BackendError> {
        let error = |source| BackendError::Listen { path: path.to_owned(), source };
        Self::listener(UnixListener::bind(path).map_err(error)?).map_err(error)
    }

    /// A socket that listens already.
    pub fn listener(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: Some(listener), ..Self::default() })
    }
}
