//! A stream in service.

use std::io;
use std::os::fd::OwnedFd;

use super::backend::Backend;
use super::channel::{ConsoleLog, GuestEnd, channel};
use super::host::{AttachError, HostEnd};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};

/// Why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The host gave no descriptor for it.
    #[error("failed to make the events of a console")]
    Events(#[source] io::Error),
    /// Its backend cannot be watched.
    #[error("failed to watch the backend of a console")]
    Watch(#[source] io::Error),
    /// A client cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The loop that serves it has ended.
    #[error("failed to reach the event loop of a console")]
    Loop(#[from] LoopGone),
}

/// A character stream, served by an event loop.
#[derive(Clone)]
pub struct Stream {
    host: Remote<HostEnd>,
    log: ConsoleLog,
}

impl Stream {
    /// Serves `backend` on `event_loop`; the device gets the other end. The last `capacity` bytes
    /// of output are kept, for clients that attach and for the log.
    pub fn start(
        backend: Backend,
        capacity: usize,
        event_loop: &LoopHandle,
    ) -> Result<(GuestEnd, Self), StreamError> {
        let (guest, host) = channel(capacity).map_err(StreamError::Events)?;
        let host = event_loop.add(host)?;
        host.call(move |host, cx| host.open(backend, cx))?.map_err(StreamError::Watch)?;
        let log = guest.log();
        Ok((guest, Self { host, log }))
    }

    /// Attaches a client: it gets the output that is kept and what follows, and what it sends is
    /// input. A client that is too slow loses output. It is detached when it hangs up.
    pub fn attach(&self, client: impl Into<OwnedFd>) -> Result<(), StreamError> {
        let client = client.into();
        Ok(self.host.call(move |host, cx| host.attach(client, cx))??)
    }

    /// Access to the last output.
    pub fn log(&self) -> ConsoleLog {
        self.log.clone()
    }
}
