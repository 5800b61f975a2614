//! What is so at a moment, and what the switch has to know of it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use switch::control;

use super::model::{Attachment, Member, Network, Publication};
use super::range::Range;
use super::{NetworkError, model};

#[derive(Debug)]
pub(super) struct State {
    pub(super) networks: BTreeMap<String, Network>,
    /// By the container's id.
    pub(super) members: BTreeMap<String, Member>,
    /// The last address that was given, by network and family: one that was given back is not
    /// given again at once, as others may still talk to it.
    pub(super) last: HashMap<(String, bool), IpAddr>,
}

/// The name of a port: which of the container's cards it is. Cards say it when they connect.
pub(super) fn port(container: &str, slot: u8) -> String {
    format!("{}-{slot}", container.get(..20).unwrap_or(container))
}

impl State {
    pub(super) fn new(networks: Vec<(String, Network)>, members: Vec<(String, Member)>) -> Self {
        Self {
            networks: networks.into_iter().collect(),
            members: members.into_iter().collect(),
            last: HashMap::new(),
        }
    }

    /// The ranges of addresses of all networks.
    pub(super) fn ranges(&self) -> Vec<Range> {
        let subnets = self.networks.values().flat_map(|network| &network.subnets);
        subnets.map(|subnet| Range::of(subnet.subnet)).collect()
    }

    /// By name, by id, or by the beginning of one.
    pub(super) fn find(&self, text: &str) -> Result<&Network, NetworkError> {
        if text == model::HOST {
            return Err(NetworkError::Unsupported(
                "the host's network cannot be used: each container is a machine of its own; \
                 publish ports instead (-p)"
                    .to_owned(),
            ));
        }
        let name = if text == "default" { model::BRIDGE } else { text };
        let named = self.networks.values().find(|network| network.name == name);
        if let Some(network) = named.or_else(|| self.networks.get(text)) {
            return Ok(network);
        }
        let missing = || NetworkError::NotFound(text.to_owned());
        let begins = |network: &&Network| !text.is_empty() && network.id.starts_with(text);
        let mut begin = self.networks.values().filter(begins);
        match (begin.next(), begin.next()) {
            (Some(network), None) => Ok(network),
            (Some(_), Some(_)) => Err(NetworkError::Ambiguous(text.to_owned())),
            (None, _) => Err(missing()),
        }
    }

    /// The containers on a network.
    pub(super) fn on<'a>(
        &'a self,
        network: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Member, &'a Attachment)> {
        self.members.iter().flat_map(move |(id, member)| {
            let here = member.attachments.iter().filter(move |a| a.network == network);
            here.map(move |attachment| (id, member, attachment))
        })
    }

    /// The requests after which a switch is as it should be.
    pub(super) fn everything(&self) -> Vec<control::Request> {
        let cards = self.networks.values().filter(|network| network.has_cards());
        let mut all: Vec<_> =
            cards.map(|network| control::Request::PutNetwork(put_network(network))).collect();
        for (id, member) in &self.members {
            let attachments = member.attachments.iter().filter(|a| self.has_cards(a));
            all.extend(attachments.map(|a| control::Request::PutPort(put_port(id, a))));
            all.extend(self.publish(id, member));
        }
        all
    }

    pub(super) fn has_cards(&self, attachment: &Attachment) -> bool {
        self.networks.get(&attachment.network).is_some_and(Network::has_cards)
    }

    /// The requests for all publications of a member, if any of its networks leads outside.
    pub(super) fn publish(&self, id: &str, member: &Member) -> Vec<control::Request> {
        let Some(attachment) = self.way_in(member) else { return Vec::new() };
        // Those lead through the kernel.
        if self.on_kernel_bridge(attachment) {
            return Vec::new();
        }
        let port = port(id, attachment.slot);
        let requests = member.publications.iter().enumerate();
        requests
            .map(|(number, publication)| {
                control::Request::Publish(put_publication(id, number, &port, *publication))
            })
            .collect()
    }

    pub(super) fn on_kernel_bridge(&self, attachment: &Attachment) -> bool {
        self.networks.get(&attachment.network).is_some_and(Network::on_kernel_bridge)
    }

    /// Where publications lead to.
    pub(super) fn way_in<'a>(&self, member: &'a Member) -> Option<&'a Attachment> {
        let leads_outside = |attachment: &&Attachment| {
            let network = self.networks.get(&attachment.network);
            network.is_some_and(|network| network.has_cards() && !network.internal)
        };
        member.attachments.iter().find(leads_outside)
    }
}

pub(super) fn put_network(network: &Network) -> control::Network {
    let subnets = network.subnets.iter();
    control::Network {
        id: network.id.clone(),
        subnets: subnets
            .map(|subnet| control::Subnet { subnet: subnet.subnet, gateway: subnet.gateway })
            .collect(),
        internal: network.internal,
        isolate_host: false,
        on_host: network.on_kernel_bridge(),
        mtu: network.mtu,
        domain: Some(network.name.clone()),
    }
}

pub(super) fn put_port(container: &str, attachment: &Attachment) -> control::Port {
    control::Port {
        port: port(container, attachment.slot),
        network: Some(attachment.network.clone()),
        mac: attachment.mac,
        addresses: attachment.addresses.clone(),
        names: attachment.names.clone(),
        dns: attachment.dns.clone(),
    }
}

/// The switch's name for a publication.
pub(super) fn publication_id(container: &str, number: usize) -> String {
    format!("{container}/{number}")
}

pub(super) fn put_publication(
    container: &str,
    number: usize,
    port: &str,
    publication: Publication,
) -> control::Publication {
    control::Publication {
        id: publication_id(container, number),
        port: port.to_owned(),
        protocol: publication.protocol,
        host_address: publication.host_address,
        host_port: publication.host_port,
        container_port: publication.container_port,
    }
}
