//! A conversation with the kernel about links, addresses and routes.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with},
};

use super::{
    Address,
    card::Mac,
    message::{Message, attributes, messages, word},
};

// Kinds and flags of messages (linux/netlink.h, linux/rtnetlink.h).
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const REPLACE: u16 = 0x100;
const CREATE: u16 = 0x400;
const DUMP: u16 = 0x300;

// Attributes (linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h).
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

const IFF_UP: u32 = 1;
const ARPHRD_ETHER: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// No detection of duplicates: the network gives each address once.
const IFA_F_NODAD: u8 = 2;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_UNICAST: u8 = 1;
/// The route need not be on a network that an address is in.
const RTNH_F_ONLINK: u32 = 4;

/// Lengths of `struct ifinfomsg` and `struct ifaddrmsg`.
const LINK: usize = 16;
const ADDRESS: usize = 8;

/// Longer than any datagram of the kernel's.
const BUFFER: usize = 64 << 10;

/// The loopback interface is the first that the kernel makes in any network namespace.
const LOOPBACK: u32 = 1;

/// Brings `lo` up; the kernel gives it its addresses.
pub(crate) fn up() -> io::Result<()> {
    Socket::open()?.set_up(LOOPBACK, true)
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// Where it is one of Ethernet.
    pub(super) mac: Option<Mac>,
    pub(super) up: bool,
}

/// A socket of rtnetlink.
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        // Protocol 0 of the family is NETLINK_ROUTE.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// All interfaces.
    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        let request = self.message(RTM_GETLINK, DUMP, &[0; LINK]);
        self.exchange(request, |kind, body| {
            if kind == RTM_NEWLINK {
                links.extend(read_link(body));
            }
        })?;
        Ok(links)
    }

    /// The addresses of an interface.
    pub(super) fn addresses(&mut self, index: u32) -> io::Result<Vec<Address>> {
        let mut found = Vec::new();
        let request = self.message(RTM_GETADDR, DUMP, &[0; ADDRESS]);
        self.exchange(request, |kind, body| {
            if kind == RTM_NEWADDR && word(body, 4) == Some(index) {
                found.extend(read_address(body));
            }
        })?;
        Ok(found)
    }

    pub(super) fn set_up(&mut self, index: u32, up: bool) -> io::Result<()> {
        let flags = if up { IFF_UP } else { 0 };
        let request = self.message(RTM_NEWLINK, ACK, &link(index, flags, IFF_UP));
        self.exchange(request, |_, _| {})
    }

    pub(super) fn rename(&mut self, index: u32, name: &str) -> io::Result<()> {
        let request = self.message(RTM_NEWLINK, ACK, &link(index, 0, 0));
        let name = [name.as_bytes(), b"\0"].concat();
        self.exchange(request.attribute(IFLA_IFNAME, &name), |_, _| {})
    }

    /// Gives it to another network namespace, where it is down and has this name.
    pub(super) fn move_to(&mut self, index: u32, to: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        // Not every kernel renames a card that is up.
        self.set_up(index, false)?;
        let request = self.message(RTM_NEWLINK, ACK, &link(index, 0, 0));
        let name = [name.as_bytes(), b"\0"].concat();
        let request = request.attribute(IFLA_NET_NS_FD, &to.as_raw_fd().to_ne_bytes());
        self.exchange(request.attribute(IFLA_IFNAME, &name), |_, _| {})
    }

    pub(super) fn set_mtu(&mut self, index: u32, mtu: u32) -> io::Result<()> {
        let request = self.message(RTM_NEWLINK, ACK, &link(index, 0, 0));
        self.exchange(request.attribute(IFLA_MTU, &mtu.to_ne_bytes()), |_, _| {})
    }

    pub(super) fn add_address(&mut self, index: u32, address: Address) -> io::Result<()> {
        let request = self.message(RTM_NEWADDR, ACK | CREATE | REPLACE, &local(index, address));
        self.exchange(with_address(request, address.ip), |_, _| {})
    }

    pub(super) fn remove_address(&mut self, index: u32, address: Address) -> io::Result<()> {
        let request = self.message(RTM_DELADDR, ACK, &local(index, address));
        match self.exchange(with_address(request, address.ip), |_, _| {}) {
            // It went with another, whose secondary it was.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::ADDRNOTAVAIL) => Ok(()),
            result => result,
        }
    }

    pub(super) fn set_default_route(&mut self, index: u32, gateway: IpAddr) -> io::Result<()> {
        let mut structure = vec![
            family(gateway),
            0,
            0,
            0,
            RT_TABLE_MAIN,
            RTPROT_STATIC,
            RT_SCOPE_UNIVERSE,
            RTN_UNICAST,
        ];
        structure.extend_from_slice(&RTNH_F_ONLINK.to_ne_bytes());
        let request = self
            .message(RTM_NEWROUTE, ACK | CREATE | REPLACE, &structure)
            .attribute(RTA_GATEWAY, &octets(gateway))
            .attribute(RTA_OIF, &index.to_ne_bytes());
        self.exchange(request, |_, _| {})
    }

    fn message(&mut self, kind: u16, flags: u16, structure: &[u8]) -> Message {
        self.sequence += 1;
        Message::new(kind, REQUEST | flags, self.sequence, structure)
    }

    /// Sends a request and reads its answer to the end.
    fn exchange(&mut self, request: Message, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        send(&self.fd, &request.finish(), SendFlags::empty())?;
        loop {
            let (length, _) = recv(&self.fd, &mut self.buffer[..], RecvFlags::empty())?;
            let datagram = self.buffer.get(..length).unwrap_or_default();
            for message in messages(datagram).filter(|m| m.sequence == self.sequence) {
                match message.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return outcome(message.body),
                    kind => each(kind, message.body),
                }
            }
        }
    }
}

/// The negated error number of `struct nlmsgerr`, 0 for an acknowledgement.
fn outcome(body: &[u8]) -> io::Result<()> {
    match word(body, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `struct ifinfomsg`.
fn link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for value in [index, flags, change] {
        bytes.extend_from_slice(&value.to_ne_bytes());
    }
    bytes
}

/// `struct ifaddrmsg`.
fn local(index: u32, address: Address) -> Vec<u8> {
    let mut bytes = vec![family(address.ip), address.prefix, IFA_F_NODAD, RT_SCOPE_UNIVERSE];
    bytes.extend_from_slice(&index.to_ne_bytes());
    bytes
}

fn with_address(message: Message, ip: IpAddr) -> Message {
    message.attribute(IFA_LOCAL, &octets(ip)).attribute(IFA_ADDRESS, &octets(ip))
}

fn read_link(body: &[u8]) -> Option<Link> {
    let up = word(body, 8)? & IFF_UP != 0;
    let mut link = Link { index: word(body, 4)?, name: String::new(), mac: None, up };
    let ethernet = body.get(2..4) == Some(&ARPHRD_ETHER.to_ne_bytes());
    for (kind, value) in attributes(body, LINK) {
        match kind {
            IFLA_ADDRESS if ethernet => link.mac = Mac::from_bytes(value),
            IFLA_IFNAME => {
                let text = value.strip_suffix(b"\0").unwrap_or(value);
                link.name = String::from_utf8_lossy(text).into_owned();
            }
            _ => {}
        }
    }
    Some(link)
}

fn read_address(body: &[u8]) -> Option<Address> {
    let prefix = *body.get(1)?;
    let value = |wanted| attributes(body, ADDRESS).find(|(kind, _)| *kind == wanted);
    // On a link between two ends the other attribute is the other end's.
    let (_, octets) = value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS))?;
    let ip = match octets.len() {
        4 => IpAddr::from(Ipv4Addr::from(*octets.first_chunk::<4>()?)),
        16 => IpAddr::from(Ipv6Addr::from(*octets.first_chunk::<16>()?)),
        _ => return None,
    };
    Some(Address { ip, prefix })
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_and_brought_up() {
        let links = Socket::open().unwrap().links().unwrap();
        let loopback = links.iter().find(|link| link.index == LOOPBACK).unwrap();
        assert_eq!(loopback.name, "lo");
        up().unwrap();
        let addresses = Socket::open().unwrap().addresses(LOOPBACK).unwrap();
        assert!(addresses.contains(&Address { ip: [127, 0, 0, 1].into(), prefix: 8 }));
    }

    #[test]
    fn the_kernels_refusal_comes_back() {
        let error = Socket::open().unwrap().set_up(u32::MAX >> 1, true).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NODEV));
    }
}
