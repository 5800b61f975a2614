//! The unix sockets of one machine.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use log::warn;
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, SocketFlags, accept_with, connect};

use super::bind::{BindError, Place, listen_at, stream_socket, system};

/// Why a host program cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("failed to connect to {}", path.display())]
pub struct ConnectError {
    /// Name of the socket, in the folder of the machine's own.
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The machine's listening socket, and the way to those of host programs beside it.
///
/// The folder is held open from the start and later connections go through it, so that they need
/// no path that a jail could have taken away (procfs must be there). The socket's file is removed
/// on drop.
#[derive(Debug)]
pub struct HostSockets {
    listener: UnixListener,
    place: Place,
    /// Device and inode of the file to remove.
    file: Option<(u64, u64)>,
}

impl HostSockets {
    /// Listens at `path`. A socket there that nobody listens on is replaced; anything else is an
    /// error.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let place = Place::open(path)?;
        let listener = listen_at(&place, path)?;
        let stat = place.stat().map_err(|e| system("look at", path, e))?;
        Ok(Self { listener, place, file: stat.map(|s| (s.st_dev, s.st_ino)) })
    }

    /// Takes over a listener that is bound to `path` already. Its file is left alone in the end.
    pub fn from_listener(listener: UnixListener, path: &Path) -> Result<Self, BindError> {
        listener.set_nonblocking(true).map_err(|source| BindError::System {
            operation: "set non-blocking mode of",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { listener, place: Place::open(path)?, file: None })
    }

    /// The next host program that waits, its stream not blocking; `None` if there is none.
    pub fn accept(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(stream) => return Ok(Some(stream)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Connects to the host program that listens for the guest's connections to `port`. Does not
    /// block: a unix socket connects at once or, when too many wait there, not at all.
    pub fn connect(&self, port: u32) -> Result<OwnedFd, ConnectError> {
        let mut name = self.place.name.clone();
        name.push(format!("_{port}"));
        self.connect_to(&name)
            .map_err(|e| ConnectError { path: PathBuf::from(name), source: e.into() })
    }

    fn connect_to(&self, name: &OsString) -> Result<OwnedFd, Errno> {
        let address = SocketAddrUnix::new(self.place.path_of(name))?;
        let socket = stream_socket()?;
        connect(&socket, &address)?;
        Ok(socket)
    }
}

impl AsRawFd for HostSockets {
    /// The listener, readable when a host program waits.
    fn as_raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}

impl Drop for HostSockets {
    fn drop(&mut self) {
        let Some(file) = self.file else { return };
        // Another monitor may have put its own in the place of ours.
        let ours = matches!(self.place.stat(), Ok(Some(s)) if (s.st_dev, s.st_ino) == file);
        if ours && let Err(e) = self.place.unlink() {
            warn!("failed to remove the socket {}: {e}", self.place.name.display());
        }
    }
}

#[cfg(test)]
mod tests;
