//! What the engine tells the switch: one JSON document a line over a unix stream, and one line back
//! for each.
//!
//! `Put…` requests say how something should be; putting the same again changes nothing, so that an
//! engine can say everything once more after its own or the switch's restart. What a request needs
//! must exist: a port's network before the port, a publication's port before the publication.
//! Ports may be put before and after their card connects.

mod status;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::address::{Cidr, Mac};

pub use status::{CardStatus, Counters, FlowCounts, NetworkStatus, PortStatus, Status};

/// The longest line, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// The largest MTU of a network: the longest IP packet of which each offset in the frame, header
/// included, fits what cards can say. The default.
pub const MAX_MTU: u16 = 65_520;

/// The smallest MTU of a network: what IPv6 demands (RFC 8200, 5).
pub const MIN_MTU: u16 = 1_280;

/// A line to the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Makes a network or changes it. Its ports stay. Answer: [`Response::Done`].
    PutNetwork(Network),
    /// Removes a network, which must have no port. Removing what is not there is no error.
    RemoveNetwork(NetworkName),
    /// Makes a port or changes it: another network pulls the cable and plugs it in elsewhere.
    PutPort(Port),
    /// Removes a port, its publications and its connections; its card's link goes down. Removing
    /// what is not there is no error.
    RemovePort(PortName),
    /// Listens on the host for a port. Answer: [`Response::Published`]. A publication of the same
    /// id that says the same stays as it is; another takes its place.
    Publish(Publication),
    /// Listens no more, and ends the connections that came that way. Removing what is not there is
    /// no error.
    Unpublish(PublicationName),
    /// Asks for everything. Answer: [`Response::Status`].
    Status,
    /// Ends the switch. Answer: [`Response::Done`], and then the connection closes.
    Shutdown,
}

/// Names a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkName {
    /// Its id.
    pub id: String,
}

/// Names a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortName {
    /// What its card says when it connects.
    pub port: String,
}

/// Names a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicationName {
    /// Its id.
    pub id: String,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The engine's name for it.
    pub id: String,
    /// Its ranges of addresses, at most one of each family.
    pub subnets: Vec<Subnet>,
    /// No way out and none in, except for names of its own ports. Default: no.
    #[serde(default)]
    pub internal: bool,
    /// Containers do not reach the host's own addresses, the gateway's included. Default: no.
    #[serde(default)]
    pub isolate_host: bool,
    /// The host has the gateways' addresses itself: the network's cards are on a bridge of its
    /// kernel. The switch only knows its names, and answers for them at those addresses. Default:
    /// no.
    #[serde(default)]
    pub on_host: bool,
    /// The longest IP packet, [`MIN_MTU`] to [`MAX_MTU`]. Default: [`MAX_MTU`].
    #[serde(default = "default_mtu")]
    pub mtu: u16,
    /// A name may end with this, such as the network's name: `web.DOMAIN` is `web`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

fn default_mtu() -> u16 {
    MAX_MTU
}

/// A range of addresses of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// The range.
    pub subnet: Cidr,
    /// The switch's own address in it: the default route and the name server.
    pub gateway: IpAddr,
}

/// A port: where one card is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// What its card says when it connects.
    pub port: String,
    /// The network it is on. Without one the card's link is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The card's Ethernet address. Frames from another are dropped.
    pub mac: Mac,
    /// The card's addresses, in the network's ranges. Packets from others are dropped.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Names and aliases that the network's ports find it by. The first is its reverse name.
    #[serde(default)]
    pub names: Vec<String>,
    /// Name servers to ask for this port, instead of the host's.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port number of the host that leads to one of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The engine's name for it.
    pub id: String,
    /// The port (card) that it leads to.
    pub port: String,
    /// What comes through.
    pub protocol: Protocol,
    /// The host's address to listen at; `0.0.0.0` and `::` mean all of the family.
    pub host_address: IpAddr,
    /// The host's port number; 0 means any that is free.
    #[serde(default)]
    pub host_port: u16,
    /// The container's port number.
    pub container_port: u16,
}

/// A line from the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It is as was asked.
    Done,
    /// A publication listens.
    Published(Published),
    /// Everything.
    Status(Box<Status>),
    /// Nothing has changed.
    Failed(Fault),
}

/// Where a publication listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The host's port number.
    pub host_port: u16,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message}")]
pub struct Fault {
    /// For programs.
    pub kind: FaultKind,
    /// For people; names the subject.
    pub message: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The request makes no sense.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// An address of the host, or of a network, belongs to another; or a network has ports.
    InUse,
    /// The host does not allow it, such as port numbers below 1024.
    Denied,
    /// There are too many.
    Limit,
    /// The host refused for another reason.
    Host,
}

#[cfg(test)]
mod tests;
