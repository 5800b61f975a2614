//! Ports of the host that are kept from others: rules lead away what comes for them, but only a
//! socket keeps another program from thinking that they are free.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_ipv6_v6only;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use switch::control::Protocol;

use super::plan::Forward;

/// The sockets.
#[derive(Debug, Default)]
pub(super) struct Reserved(BTreeMap<(Protocol, SocketAddr), OwnedFd>);

impl Reserved {
    /// Takes a port; any that is free where its number is 0. Gives its number.
    pub(super) fn take(&mut self, protocol: Protocol, address: SocketAddr) -> io::Result<u16> {
        if self.0.contains_key(&(protocol, address)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (family, kind) = (
            if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET },
            match protocol {
                Protocol::Tcp => SocketType::STREAM,
                Protocol::Udp => SocketType::DGRAM,
            },
        );
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        if address.is_ipv6() {
            set_ipv6_v6only(&socket, true)?;
        }
        // It does not listen: whom no rule leads away is refused.
        bind(&socket, &address)?;
        let bound = SocketAddr::try_from(getsockname(&socket)?)?;
        self.0.insert((protocol, SocketAddr::new(address.ip(), bound.port())), socket);
        Ok(bound.port())
    }

    /// Keeps those of `forwards` and no others. What another program has taken meanwhile is told.
    pub(super) fn keep(&mut self, forwards: &[Forward]) {
        self.0.retain(|(protocol, address), _| {
            forwards.iter().any(|f| (f.protocol, f.from) == (*protocol, *address))
        });
        for forward in forwards {
            if self.0.contains_key(&(forward.protocol, forward.from)) {
                continue;
            }
            if let Err(error) = self.take(forward.protocol, forward.from) {
                log::warn!("port {} of the host cannot be kept: {error}", forward.from);
            }
        }
    }
}
