//! Published ports: sockets of the host that lead to a container's.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, listen, socket_with,
    sockopt,
};

use crate::control::{Protocol, Publication};
use crate::core::Core;
use crate::core::card::accept;
use crate::core::poller::{EventFlags, Source, Token};
use crate::core::port::PortId;

/// Connections that the kernel may hold for us to accept.
const BACKLOG: i32 = 128;

/// One of them.
#[derive(Debug)]
struct Published {
    /// With the host's port number as it is.
    spec: Publication,
    /// As it was asked for.
    asked: Publication,
    fd: OwnedFd,
    port: PortId,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Publications {
    all: HashMap<u64, Published>,
    by_name: BTreeMap<String, u64>,
}

/// Something that came in.
pub(crate) enum Arrival {
    /// A connection.
    Connection(OwnedFd),
    /// Datagrams wait in the publication's socket.
    Datagrams,
}

impl Publications {
    /// All of them, by id.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &Publication> {
        self.by_name.values().filter_map(|id| self.all.get(id)).map(|published| &published.spec)
    }

    /// The host's port number of a publication that says the same.
    pub(crate) fn same(&self, asked: &Publication, port: PortId) -> Option<u16> {
        let published = self.all.get(self.by_name.get(&asked.id)?)?;
        let same = published.asked == *asked && published.port == port;
        same.then_some(published.spec.host_port)
    }

    /// Listens. Returns the host's port number.
    ///
    /// # Errors
    ///
    /// Those of the host.
    pub(crate) fn add(
        &mut self,
        core: &mut Core,
        asked: Publication,
        port: PortId,
    ) -> io::Result<u16> {
        let fd = open(&asked)?;
        let host_port = match SocketAddr::try_from(getsockname(&fd)?) {
            Ok(address) => address.port(),
            Err(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let id = core.next_id();
        core.poller.watch(&fd, Token::new(Source::Publication, id), EventFlags::IN)?;
        let spec = Publication { host_port, ..asked.clone() };
        self.by_name.insert(asked.id.clone(), id);
        self.all.insert(id, Published { spec, asked, fd, port });
        Ok(host_port)
    }

    /// Ends a publication. Returns its number.
    pub(crate) fn remove(&mut self, name: &str) -> Option<u64> {
        let id = self.by_name.remove(name)?;
        self.all.remove(&id);
        Some(id)
    }

    /// The ids of a port's publications.
    pub(crate) fn of_port(&self, port: PortId) -> Vec<String> {
        let all = self.all.values().filter(|published| published.port == port);
        all.map(|published| published.spec.id.clone()).collect()
    }

    /// A publication's socket.
    pub(crate) fn fd(&self, id: u64) -> Option<BorrowedFd<'_>> {
        self.all.get(&id).map(|published| published.fd.as_fd())
    }

    /// What has come for a publication: its port, its container's address, and the arrival.
    ///
    /// # Errors
    ///
    /// Those of accepting, which stay for a while.
    pub(crate) fn arrival(
        &self,
        core: &Core,
        id: u64,
    ) -> io::Result<Option<(PortId, SocketAddr, Arrival)>> {
        let Some(published) = self.all.get(&id) else { return Ok(None) };
        let arrival = match published.spec.protocol {
            Protocol::Udp => Arrival::Datagrams,
            Protocol::Tcp => match accept(published.fd.as_fd())? {
                Some(connection) => Arrival::Connection(connection),
                None => return Ok(None),
            },
        };
        let Some(port) = core.ports.get(&published.port) else { return Ok(None) };
        // Either family may lead to either.
        let address = port
            .address_like(published.spec.host_address)
            .or_else(|| port.spec.addresses.first().copied());
        let guest = |address| SocketAddr::new(address, published.spec.container_port);
        Ok(address.map(|address| (published.port, guest(address), arrival)))
    }
}

fn open(publication: &Publication) -> Result<OwnedFd, Errno> {
    let address = SocketAddr::new(publication.host_address, publication.host_port);
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (kind, protocol) = match publication.protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let fd = socket_with(family, kind, flags, Some(protocol))?;
    if address.is_ipv6() {
        // The other family has publications of its own.
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    if publication.protocol == Protocol::Tcp {
        // Connections that linger from before are in nobody's way.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    bind(&fd, &address)?;
    if publication.protocol == Protocol::Tcp {
        listen(&fd, BACKLOG)?;
    }
    Ok(fd)
}
