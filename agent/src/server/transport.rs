//! Where connections come from and go to: vsock in a guest, unix sockets outside of one.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, VsockAddr, bind, connect, getpeername, listen,
        socket,
    },
};
use rustix::net::{SocketFlags, accept_with};

/// The context id of the host (virtio 1.3, 5.10.4).
const HOST_CID: u32 = 2;

/// `VMADDR_CID_ANY`: any address of this machine.
const ANY_CID: u32 = u32::MAX;

/// How many connections the kernel holds until they are accepted.
const BACKLOG: i32 = 256;

/// How the agent is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    /// As in a virtual machine.
    Vsock {
        /// The port to listen on.
        port: u32,
        /// The port of the host to call when ready.
        ready_port: u32,
        /// The only peer that is served.
        peer: u32,
    },
    /// For trials and tests without a machine around the agent.
    Unix {
        /// The socket to listen on.
        socket: PathBuf,
        /// The socket to call when ready, if any.
        ready: Option<PathBuf>,
    },
}

impl Transport {
    /// Vsock to the host.
    pub(crate) fn to_host(port: u32, ready_port: u32) -> Self {
        Self::Vsock { port, ready_port, peer: HOST_CID }
    }

    /// Starts to listen; non-blocking.
    pub(crate) fn listen(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Vsock { port, .. } => {
                let fd = vsock()?;
                bind(fd.as_raw_fd(), &VsockAddr::new(ANY_CID, *port))?;
                listen(&fd, Backlog::new(BACKLOG)?)?;
                Ok(fd)
            }
            Self::Unix { socket, .. } => {
                let listener = UnixListener::bind(socket)?;
                listener.set_nonblocking(true)?;
                Ok(listener.into())
            }
        }
    }

    /// Takes one waiting connection; non-blocking. `None` for one whose peer is not to be served:
    /// any program in the guest may connect over the loopback.
    pub(crate) fn accept(&self, listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
        let stream = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        match self {
            Self::Vsock { peer, .. } => {
                let from = getpeername::<VsockAddr>(stream.as_raw_fd()).map(|from| from.cid());
                Ok((from == Ok(*peer)).then_some(stream))
            }
            Self::Unix { .. } => Ok(Some(stream)),
        }
    }

    /// Calls the host; non-blocking, so the connection may be incomplete yet. `None` if nobody is
    /// to be called.
    pub(crate) fn call(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Vsock { ready_port, peer, .. } => {
                let fd = vsock()?;
                match connect(fd.as_raw_fd(), &VsockAddr::new(*peer, *ready_port)) {
                    Ok(()) | Err(Errno::EINPROGRESS) => Ok(Some(fd)),
                    Err(error) => Err(error.into()),
                }
            }
            Self::Unix { ready, .. } => {
                let Some(ready) = ready else { return Ok(None) };
                let stream = UnixStream::connect(ready)?;
                stream.set_nonblocking(true)?;
                Ok(Some(stream.into()))
            }
        }
    }
}

fn vsock() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Vsock, SockType::Stream, flags, None)?)
}
