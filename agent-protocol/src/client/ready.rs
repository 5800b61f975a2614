//! Learning that a guest is ready.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Client, Connector, GreetError};
use crate::READY_PORT;

/// The socket for a guest's call could not be made.
#[derive(Debug, thiserror::Error)]
#[error("Failed to listen for the agent on {path}")]
pub struct BindError {
    /// The socket.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Where the agent calls when it is ready. Make it before the guest boots.
#[derive(Debug)]
pub struct ReadyListener {
    listener: UnixListener,
    path: PathBuf,
    connector: Connector,
}

impl ReadyListener {
    /// Listens beside the monitor's vsock socket, at its path followed by `_` and [`READY_PORT`].
    pub fn bind(connector: &Connector) -> Result<Self, BindError> {
        let mut path = connector.path().as_os_str().to_owned();
        path.push(format!("_{READY_PORT}"));
        let path = PathBuf::from(path);
        match UnixListener::bind(&path) {
            Ok(listener) => Ok(Self { listener, path, connector: connector.clone() }),
            Err(source) => Err(BindError { path, source }),
        }
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits at most `limit` for the agent to call, and greets it. The connection that announces
    /// readiness is the control connection.
    pub fn accept(&self, limit: Duration) -> Result<Client, GreetError> {
        let mut readable = [PollFd::new(&self.listener, PollFlags::IN)];
        let timeout = Timespec::try_from(limit).ok();
        match poll(&mut readable, timeout.as_ref()) {
            Ok(0) => return Err(GreetError::TimedOut(limit)),
            Ok(_) => {}
            Err(error) => return Err(GreetError::Io(error.into())),
        }
        let (stream, _) = self.listener.accept().map_err(GreetError::Io)?;
        Client::greet(stream, self.connector.clone(), limit)
    }
}

impl AsFd for ReadyListener {
    /// Readable once the agent has called.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for ReadyListener {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.path);
    }
}
