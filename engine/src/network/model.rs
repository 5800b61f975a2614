//! Networks, and containers on them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use switch::address::{Cidr, Mac};
use switch::control::Protocol;
use time::OffsetDateTime;

use super::range::Range;
use crate::store::Record;

/// The network of containers that name none.
pub const BRIDGE: &str = "bridge";
/// The driver of networks that are bridges of the host's kernel. Clients say `bridge` where nobody
/// chose, so that cannot be its name.
pub(super) const KERNEL_BRIDGE: &str = "kernel-bridge";
/// The network without anything.
pub const NONE: &str = "none";
/// Docker's network that is the host's: a machine cannot be on it.
pub const HOST: &str = "host";

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `bridge` or `user`, which are the switch, `kernel-bridge`, or `null` for the one without
    /// anything.
    pub driver: String,
    /// At most one of each family; none of the network without anything.
    pub subnets: Vec<Subnet>,
    /// No way out.
    pub internal: bool,
    /// Kept for `inspect`.
    pub attachable: bool,
    /// Whether IPv6 was asked for.
    pub ipv6: bool,
    /// The longest packet, bytes.
    pub mtu: u16,
    /// Options of the driver, as they came.
    pub options: HashMap<String, String>,
    /// Options of the address manager, as they came.
    pub ipam_options: HashMap<String, String>,
    /// Labels.
    pub labels: HashMap<String, String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
}

impl Record for Network {
    const TABLE: &'static str = "networks";
    const VERSION: u32 = 1;
}

impl Network {
    /// Whether it comes with the engine and cannot be removed.
    #[must_use]
    pub fn predefined(&self) -> bool {
        matches!(self.name.as_str(), BRIDGE | NONE)
    }

    /// Whether containers on it have cards.
    #[must_use]
    pub fn has_cards(&self) -> bool {
        !self.subnets.is_empty()
    }

    /// Whether it is a bridge of the host's kernel.
    #[must_use]
    pub fn on_kernel_bridge(&self) -> bool {
        self.driver == KERNEL_BRIDGE
    }

    /// Its subnet of the family of IPv6, or else of IPv4.
    #[must_use]
    pub fn subnet(&self, ipv6: bool) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.subnet.address().is_ipv6() == ipv6)
    }
}

/// A range of addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// All of it.
    pub subnet: Cidr,
    /// The switch's address in it.
    pub gateway: IpAddr,
    /// Where containers' addresses are taken from, if not from all of it.
    #[serde(default)]
    pub pool: Option<Cidr>,
    /// Addresses that containers do not get.
    #[serde(default)]
    pub reserved: BTreeMap<String, IpAddr>,
    /// Whether the user chose it, and so may choose addresses.
    pub chosen: bool,
}

impl Subnet {
    /// An address that is free: after the one given `last`, and again from the start.
    pub(super) fn free(&self, last: Option<IpAddr>, taken: &[IpAddr]) -> Option<IpAddr> {
        let (all, pool) = (Range::of(self.subnet), Range::of(self.pool.unwrap_or(self.subnet)));
        let start = last.and_then(|last| pool.offset(last)).map_or(0, |last| last + 1);
        // Each address that is passed over is one of these, so this is enough steps.
        let steps = taken.len() as u128 + self.reserved.len() as u128 + 4;
        let count = pool.length().saturating_add(1);
        (0..steps.min(count)).find_map(|step| {
            let address = pool.nth(start.wrapping_add(step) % count)?;
            (self.usable(all, address) && !taken.contains(&address)).then_some(address)
        })
    }

    /// Whether a container may have it.
    fn usable(&self, all: Range, address: IpAddr) -> bool {
        let offset = all.offset(address);
        let broadcast = address.is_ipv4() && offset == Some(all.length()) && all.length() > 1;
        offset.is_some_and(|offset| offset > 0)
            && !broadcast
            && address != self.gateway
            && !self.reserved.values().any(|reserved| *reserved == address)
    }

    /// Whether a user may choose it.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.usable(Range::of(self.subnet), address)
    }
}

/// What the engine remembers of a running container's networks, so that it and the switch can
/// begin anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The container's name.
    pub name: String,
    /// Its networks.
    pub attachments: Vec<Attachment>,
    /// What it publishes.
    pub publications: Vec<Publication>,
}

impl Record for Member {
    const TABLE: &'static str = "network-members";
    const VERSION: u32 = 1;
}

/// A container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's id.
    pub network: String,
    /// 64 hexadecimal digits.
    pub endpoint: String,
    /// Which of the machine's cards it is.
    pub slot: u8,
    /// The card's address.
    pub mac: Mac,
    /// At most one of each family.
    pub addresses: Vec<IpAddr>,
    /// What others on the network find it by.
    pub names: Vec<String>,
    /// Name servers of its own.
    pub dns: Vec<IpAddr>,
}

/// A port of the host that leads to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// In the container.
    pub container_port: u16,
    /// What comes through.
    pub protocol: Protocol,
    /// At the host.
    pub host_address: IpAddr,
    /// At the host. Not 0.
    pub host_port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str, pool: Option<&str>) -> Subnet {
        let cidr: Cidr = text.parse().unwrap();
        Subnet {
            subnet: cidr,
            gateway: Range::of(cidr).nth(1).unwrap(),
            pool: pool.map(|pool| pool.parse().unwrap()),
            reserved: BTreeMap::new(),
            chosen: true,
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_follow_the_gateway_and_go_on_after_the_last() {
        let subnet = subnet("172.17.0.0/16", None);
        assert_eq!(subnet.free(None, &[]), Some(address("172.17.0.2")));
        let last = Some(address("172.17.0.2"));
        assert_eq!(subnet.free(last, &[]), Some(address("172.17.0.3")));
    }

    #[test]
    fn small_subnet_is_used_up_and_begins_anew() {
        let subnet = subnet("10.0.0.0/29", None);
        let mut taken = Vec::new();
        while let Some(free) = subnet.free(taken.last().copied(), &taken) {
            taken.push(free);
        }
        let expected: Vec<_> = (2..7).map(|last| address(&format!("10.0.0.{last}"))).collect();
        assert_eq!(taken, expected);
        taken.remove(1);
        assert_eq!(subnet.free(Some(address("10.0.0.6")), &taken), Some(address("10.0.0.3")));
    }

    #[test]
    fn pool_limits_what_is_given_but_not_what_may_be_chosen() {
        let subnet = subnet("10.0.0.0/24", Some("10.0.0.128/25"));
        assert_eq!(subnet.free(None, &[]), Some(address("10.0.0.128")));
        assert!(subnet.allows(address("10.0.0.5")));
        for address in ["10.0.0.0", "10.0.0.1", "10.0.0.255", "10.0.1.1", "fd00::1"] {
            assert!(!subnet.allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn reserved_addresses_are_passed_over() {
        let mut subnet = subnet("fd00::/64", None);
        subnet.reserved.insert("printer".to_owned(), address("fd00::2"));
        assert_eq!(subnet.free(None, &[]), Some(address("fd00::3")));
    }
}
