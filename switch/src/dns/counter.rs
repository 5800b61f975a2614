//! Where the name server is asked over the host's own sockets: a network whose cards are on a
//! bridge of the kernel, which has the gateway's address itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getpeername, listen,
    recvfrom, sendto, socket_with, sockopt,
};

use super::PORT;
use crate::core::Core;
use crate::core::card::accept;
use crate::core::port::PortId;

/// Connections that the kernel may hold for us to accept.
const BACKLOG: i32 = 64;

/// A socket at which questions come in.
#[derive(Debug)]
pub(super) struct Counter {
    fd: OwnedFd,
    kind: SocketType,
    /// The network's id.
    pub(super) network: String,
}

impl Counter {
    /// The sockets of a gateway.
    pub(super) fn open(network: &str, gateway: IpAddr) -> io::Result<[Self; 2]> {
        let open = |kind| {
            let family = if gateway.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let fd = socket_with(family, kind, flags, None)?;
            if kind == SocketType::STREAM {
                // Connections to the switch before this one may linger.
                sockopt::set_socket_reuseaddr(&fd, true)?;
            }
            bind(&fd, &SocketAddr::new(gateway, PORT))?;
            if kind == SocketType::STREAM {
                listen(&fd, BACKLOG)?;
            }
            Ok::<_, io::Error>(Self { fd, kind, network: network.to_owned() })
        };
        Ok([open(SocketType::DGRAM)?, open(SocketType::STREAM)?])
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn takes_connections(&self) -> bool {
        self.kind == SocketType::STREAM
    }

    /// The next datagram of one of the network's ports, into `message`; none while there is none.
    pub(super) fn receive(
        &self,
        core: &Core,
        message: &mut [u8],
    ) -> Option<(PortId, SocketAddr, usize)> {
        loop {
            // An error is one of an answer that was sent before.
            let (len, _, caller) = recvfrom(&self.fd, &mut *message, RecvFlags::empty()).ok()?;
            let caller = caller.and_then(|caller| SocketAddr::try_from(caller).ok());
            if let Some((caller, port)) = caller.and_then(|c| Some((c, self.port_of(core, c)?))) {
                return Some((port, caller, len));
            }
        }
    }

    /// Answers a datagram. One that cannot be sent now is asked for again.
    pub(super) fn answer(&self, caller: SocketAddr, answer: &[u8]) {
        if let Err(error) = sendto(&self.fd, answer, SendFlags::NOSIGNAL, &caller) {
            log::debug!("failed to answer {caller}: {error}");
        }
    }

    /// The next connection of one of the network's ports.
    pub(super) fn connection(&self, core: &Core) -> io::Result<Option<(PortId, OwnedFd)>> {
        while let Some(fd) = accept(self.fd.as_fd())? {
            let caller = getpeername(&fd).ok().flatten();
            let caller = caller.and_then(|caller| SocketAddr::try_from(caller).ok());
            if let Some(port) = caller.and_then(|caller| self.port_of(core, caller)) {
                return Ok(Some((port, fd)));
            }
        }
        Ok(None)
    }

    /// Others than the network's ports get no answers.
    fn port_of(&self, core: &Core, caller: SocketAddr) -> Option<PortId> {
        core.networks.get(&self.network)?.by_address.get(&caller.ip()).copied()
    }
}
