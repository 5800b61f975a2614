//! What the kernel has to be told of networks, containers and published ports.

use std::net::{IpAddr, SocketAddr};

use switch::address::{Cidr, Mac};
use switch::control::Protocol;

use crate::network::model::{Attachment, Member, Network, Publication};
use crate::network::state::State;

/// Digits of an id in a link's name: with them it is as long as names of links may be.
const DIGITS: usize = 10;

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) bridges: Vec<Bridge>,
    pub(super) cards: Vec<Card>,
    pub(super) forwards: Vec<Forward>,
}

/// The bridge of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    pub(super) name: String,
    /// The host's address in each range, with the range.
    pub(super) gateways: Vec<(IpAddr, Cidr)>,
    pub(super) internal: bool,
    pub(super) mtu: u16,
}

impl Bridge {
    fn of(network: &Network) -> Self {
        let subnets = network.subnets.iter();
        Self {
            name: bridge_name(&network.id),
            gateways: subnets.map(|subnet| (subnet.gateway, subnet.subnet)).collect(),
            internal: network.internal,
            mtu: network.mtu,
        }
    }

    /// Whether it has addresses of a family.
    pub(super) fn has(&self, ipv6: bool) -> bool {
        self.gateways.iter().any(|(gateway, _)| gateway.is_ipv6() == ipv6)
    }
}

/// A container's card on a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Card {
    /// The tap's name.
    pub(super) tap: String,
    /// The bridge's.
    pub(super) bridge: String,
    pub(super) mac: Mac,
    pub(super) addresses: Vec<IpAddr>,
}

/// A port of the host that leads to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Forward {
    pub(super) protocol: Protocol,
    /// Where at the host.
    pub(super) from: SocketAddr,
    /// The container.
    pub(super) to: SocketAddr,
}

impl Forward {
    /// What becomes of a publication on a card with these addresses; nothing where the card has
    /// none of the family.
    pub(super) fn of(publication: &Publication, addresses: &[IpAddr]) -> Option<Self> {
        let ipv6 = publication.host_address.is_ipv6();
        let to = addresses.iter().find(|address| address.is_ipv6() == ipv6)?;
        Some(Self {
            protocol: publication.protocol,
            from: SocketAddr::new(publication.host_address, publication.host_port),
            to: SocketAddr::new(*to, publication.container_port),
        })
    }
}

impl Plan {
    pub(super) fn of(state: &State) -> Self {
        let ours = state.networks.values().filter(|network| network.on_kernel_bridge());
        let bridges = ours.map(Bridge::of).collect();
        let (mut cards, mut forwards) = (Vec::new(), Vec::new());
        for (id, member) in &state.members {
            cards.extend(member.attachments.iter().filter_map(|a| card(state, id, a)));
            forwards.extend(of_member(state, member));
        }
        Self { bridges, cards, forwards }
    }
}

fn card(state: &State, id: &str, attachment: &Attachment) -> Option<Card> {
    let network = state.networks.get(&attachment.network)?;
    network.on_kernel_bridge().then(|| Card {
        tap: tap_name(id, attachment.slot),
        bridge: bridge_name(&network.id),
        mac: attachment.mac,
        addresses: attachment.addresses.clone(),
    })
}

/// The ports of a member that lead through the kernel.
fn of_member(state: &State, member: &Member) -> Vec<Forward> {
    let Some(attachment) = state.way_in(member) else { return Vec::new() };
    if !state.on_kernel_bridge(attachment) {
        return Vec::new();
    }
    let publications = member.publications.iter();
    publications.filter_map(|p| Forward::of(p, &attachment.addresses)).collect()
}

/// The name of the bridge of the network `id`.
fn bridge_name(id: &str) -> String {
    format!("bhb{}", id.get(..DIGITS).unwrap_or(id))
}

/// The name of the tap of a card of the container `id`.
pub(crate) fn tap_name(id: &str, slot: u8) -> String {
    format!("bht{}-{slot}", id.get(..DIGITS).unwrap_or(id))
}
