//! Starting a monitor, `bulkhead-vmm`.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Folder, FolderError, ProcessId};

/// The program's name, beside this one or on the PATH.
pub(crate) const PROGRAM: &str = "bulkhead-vmm";

/// What a service manager tells this process, and means for no other.
const OF_SERVICE: [&str; 4] = ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"];

/// Where a process finds its own standard input.
const STANDARD_INPUT: &str = "/dev/stdin";

/// Where the monitor's program is: `BULKHEAD_VMM`, else beside this program, else on the PATH.
#[must_use]
pub fn program() -> PathBuf {
    if let Some(path) = env::var_os("BULKHEAD_VMM").filter(|p| !p.is_empty()) {
        return path.into();
    }
    let beside = env::current_exe().ok().and_then(|me| Some(me.parent()?.join(PROGRAM)));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PROGRAM.into())
}

/// What becomes of the monitor's own input and output.
#[derive(Debug)]
pub enum Console {
    /// They go through this socket; the document is in the folder.
    Attached(UnixStream),
    /// There are none; the document is in the folder.
    Kept,
    /// There is no output, and the input is this document, given once the monitor is on record: a
    /// machine that nobody knows of cannot begin, even if this process is killed at any moment.
    Recorded(Vec<u8>),
}

/// How to start a monitor.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The monitor's program: see [`program`].
    pub program: &'a Path,
    /// Its machine's folder.
    pub folder: &'a Folder,
    /// Its input and output.
    pub console: Console,
    /// Whether the machine ends with this process.
    pub ends_with_us: bool,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// Why a monitor could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program does not run.
    #[error("failed to start {} (set BULKHEAD_VMM to its path)", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its log cannot be written.
    #[error("failed to open the monitor's log {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its console cannot be connected.
    #[error("failed to connect the machine's console")]
    Console(#[source] io::Error),
    /// It cannot be put on record.
    #[error("failed to put the monitor on record")]
    Record(#[source] FolderError),
    /// It did not take its document.
    #[error("failed to give the monitor its document")]
    Document(#[source] io::Error),
}

impl Launch<'_> {
    /// Starts the monitor on the machine's document.
    pub fn spawn(self) -> Result<Child, LaunchError> {
        let (console, document) = match self.console {
            Console::Recorded(document) => (None, Some(document)),
            Console::Attached(socket) => (Some(socket), None),
            Console::Kept => (None, None),
        };
        let mut command = Command::new(self.program);
        command
            .arg("--id")
            .arg(self.folder.name())
            .arg("--api-sock")
            .arg(self.folder.api_socket())
            .arg("--spec")
            .arg(match document {
                Some(_) => PathBuf::from(STANDARD_INPUT),
                None => self.folder.spec_file(),
            })
            .arg("--log-path")
            .arg(self.folder.log_file())
            .arg("--events-path")
            .arg(self.folder.events_file())
            .args(self.arguments)
            // Of its own, so that the terminal's ^C reaches this process only.
            .process_group(0);
        if document.is_some() {
            for name in OF_SERVICE {
                command.env_remove(name);
            }
        }
        if self.ends_with_us {
            command.arg("--exit-with-parent");
        }
        connect(&mut command, console, document.is_some()).map_err(LaunchError::Console)?;
        // Not the terminal: that may be raw, or be gone.
        command.stderr(Stdio::from(open_log(&self.folder.log_file())?));
        let mut child = command
            .spawn()
            .map_err(|source| LaunchError::Spawn { program: self.program.to_owned(), source })?;
        // One that has ended already is found out by whoever waits for it.
        if let Ok(monitor) = ProcessId::of(child.id()) {
            let recorded = self.folder.set_monitor(monitor).map_err(LaunchError::Record);
            recorded.inspect_err(|_| end(&mut child))?;
        }
        if let Some(document) = document {
            let given = give(&mut child, &document).map_err(LaunchError::Document);
            given.inspect_err(|_| end(&mut child))?;
        }
        Ok(child)
    }
}

fn connect(command: &mut Command, console: Option<UnixStream>, piped: bool) -> io::Result<()> {
    match console {
        Some(socket) => {
            let output: OwnedFd = socket.try_clone()?.into();
            command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::from(output));
        }
        None => {
            let input = if piped { Stdio::piped() } else { Stdio::null() };
            command.stdin(input).stdout(Stdio::null());
        }
    }
    Ok(())
}

fn open_log(path: &Path) -> Result<File, LaunchError> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| LaunchError::Log { path: path.to_owned(), source })
}

/// Writes the document to the monitor's input and closes that.
fn give(child: &mut Child, document: &[u8]) -> io::Result<()> {
    let Some(mut input) = child.stdin.take() else { return Ok(()) };
    match input.write_all(document) {
        // It has ended already: its exit status and its log say why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Ends a monitor that is of no use. It has no machine yet.
fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}
