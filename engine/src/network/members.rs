//! Containers that come onto networks and leave them.

use std::net::IpAddr;

use agent_protocol::message::Card;
use switch::address::Mac;
use switch::control::{self, PortName};

use super::model::{Attachment, Member, Network};
use super::state::{self, State};
use super::{Inner, NetworkError, Service, tap_name};
use crate::container::{names, short_id};

/// How a container wants to be on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRequest {
    /// Further names.
    pub aliases: Vec<String>,
    /// Chosen addresses, at most one of each family. Others are given.
    pub addresses: Vec<IpAddr>,
    /// A chosen address of the card. Only the machine's start can follow it.
    pub mac: Option<Mac>,
    /// Name servers of its own.
    pub dns: Vec<IpAddr>,
}

/// Which container comes, and with which of its cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The card, counted from 0.
    pub slot: u8,
}

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The network.
    pub network: Network,
    /// The place.
    pub attachment: Attachment,
}

impl Joined {
    /// What the agent is told of the card; `default` if its gateways are the machine's.
    #[must_use]
    pub fn card(&self, default: bool) -> Card {
        let subnets = &self.network.subnets;
        let prefix = |address: &IpAddr| {
            let subnet = subnets.iter().find(|subnet| subnet.subnet.contains(*address))?;
            Some(format!("{address}/{}", subnet.subnet.prefix()))
        };
        let gateways = subnets.iter().filter(|_| default && !self.network.internal);
        Card {
            mac: self.attachment.mac.to_string(),
            name: format!("eth{}", self.attachment.slot),
            down: false,
            addresses: self.attachment.addresses.iter().filter_map(prefix).collect(),
            gateways: gateways.map(|subnet| subnet.gateway.to_string()).collect(),
            mtu: u32::from(self.network.mtu),
        }
    }

    /// Who answers for names on the network: the switch, at its own addresses.
    #[must_use]
    pub fn name_servers(&self) -> Vec<IpAddr> {
        self.network.subnets.iter().map(|subnet| subnet.gateway).collect()
    }
}

impl Service {
    /// Puts a container onto the network that `network` means: it has its addresses from then on,
    /// and its card's link is up.
    ///
    /// # Errors
    ///
    /// There is no such network, it has no address for the container, the container is on it
    /// already, or the switch fails. Nothing has changed then.
    pub async fn attach(
        &self,
        joining: Joining<'_>,
        network: &str,
        request: &EndpointRequest,
    ) -> Result<Joined, NetworkError> {
        let mut state = self.0.state.lock().await;
        let network = state.find(network)?.clone();
        let before = state.members.get(joining.id).cloned();
        let mut member = before.clone().unwrap_or_default();
        joining.name.clone_into(&mut member.name);
        if member.attachments.iter().any(|attachment| attachment.network == network.id) {
            let (container, network) = (joining.name.to_owned(), network.name);
            return Err(NetworkError::Attached { container, network });
        }
        let attachment = state.place(joining, &network, request)?;
        member.attachments.push(attachment.clone());
        self.0.remember(&mut state, joining.id, member).await?;
        if network.on_kernel_bridge()
            && let Err(error) = self.0.settle(&state, joining.name).await
        {
            self.0.recall(&mut state, joining.id, before).await;
            return Err(error);
        }
        if network.has_cards() {
            let put = vec![
                control::Request::PutNetwork(state::put_network(&network)),
                control::Request::PutPort(state::put_port(joining.id, &attachment)),
            ];
            let told = self.0.wire.tell(joining.name, || state.everything(), put).await;
            if let Err(error) = told {
                self.0.recall(&mut state, joining.id, before).await;
                self.0.follow(&state, joining.name).await;
                return Err(error);
            }
        }
        self.0.emit("connect", &network, Some(joining.id));
        Ok(Joined { network, attachment })
    }

    /// Takes a container off a network. What it publishes goes on through another, if there is one.
    ///
    /// # Errors
    ///
    /// It is not on it, or the store fails.
    pub async fn detach(&self, id: &str, network: &str) -> Result<Joined, NetworkError> {
        let mut state = self.0.state.lock().await;
        let network = state.find(network)?.clone();
        let mut member = state.members.get(id).cloned().unwrap_or_default();
        let place = member.attachments.iter().position(|a| a.network == network.id);
        let Some(place) = place else {
            let container = id.to_owned();
            return Err(NetworkError::NotAttached { container, network: network.name });
        };
        let attachment = member.attachments.remove(place);
        let mut requests = Vec::new();
        if network.has_cards() {
            let port = state::port(id, attachment.slot);
            requests.push(control::Request::RemovePort(PortName { port }));
            requests.extend(state.publish(id, &member));
        }
        let name = member.name.clone();
        self.0.remember(&mut state, id, member).await?;
        self.0.tell_or_log(&state, &name, requests).await;
        self.0.follow(&state, &name).await;
        self.0.emit("disconnect", &network, Some(id));
        Ok(Joined { network, attachment })
    }

    /// Takes a container off all of its networks and ends what it publishes: its machine is gone.
    /// Fine if it is on none.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn detach_all(&self, id: &str) -> Result<(), NetworkError> {
        let mut state = self.0.state.lock().await;
        let Some(member) = state.members.get(id).cloned() else { return Ok(()) };
        let ports = member.attachments.iter().filter(|attachment| state.has_cards(attachment));
        let requests: Vec<_> = ports
            .map(|attachment| state::port(id, attachment.slot))
            .map(|port| control::Request::RemovePort(PortName { port }))
            .collect();
        self.0.recall(&mut state, id, None).await;
        self.0.tell_or_log(&state, &member.name, requests).await;
        self.0.follow(&state, &member.name).await;
        for attachment in &member.attachments {
            if let Some(network) = state.networks.get(&attachment.network) {
                self.0.emit("disconnect", network, Some(id));
            }
        }
        Ok(())
    }

    /// The machine of a container is there, and with it its taps: they come onto their bridges.
    ///
    /// # Errors
    ///
    /// One is missing, or the kernel refuses.
    pub async fn plug_in(&self, id: &str) -> Result<(), NetworkError> {
        let state = self.0.state.lock().await;
        let Some(member) = state.members.get(id) else { return Ok(()) };
        let on_bridges = member.attachments.iter().filter(|a| state.on_kernel_bridge(a));
        let taps: Vec<_> = on_bridges.map(|a| tap_name(id, a.slot)).collect();
        if taps.is_empty() {
            return Ok(());
        }
        self.0.settle(&state, &member.name).await?;
        for tap in taps {
            let there = self.0.kernel.check_tap(&tap).await;
            there
                .map_err(|source| NetworkError::Kernel { subject: member.name.clone(), source })?;
        }
        Ok(())
    }

    /// A container has another name: so it is found on its networks.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), NetworkError> {
        let mut state = self.0.state.lock().await;
        let Some(mut member) = state.members.get(id).cloned() else { return Ok(()) };
        for attachment in &mut member.attachments {
            for known in attachment.names.iter_mut().filter(|known| **known == member.name) {
                name.clone_into(known);
            }
        }
        name.clone_into(&mut member.name);
        let ports = member.attachments.iter().filter(|attachment| state.has_cards(attachment));
        let requests = ports.map(|a| control::Request::PutPort(state::put_port(id, a))).collect();
        self.0.remember(&mut state, id, member).await?;
        self.0.tell_or_log(&state, name, requests).await;
        Ok(())
    }

    /// A container's places, in the order in which it came to them.
    pub async fn joined(&self, id: &str) -> Vec<Joined> {
        let state = self.0.state.lock().await;
        let attachments = state.members.get(id).map(|member| member.attachments.clone());
        let joined = attachments.into_iter().flatten().filter_map(|attachment| {
            let network = state.networks.get(&attachment.network)?.clone();
            Some(Joined { network, attachment })
        });
        joined.collect()
    }

    /// The ids of all containers that are on record as having networks.
    pub async fn members(&self) -> Vec<String> {
        self.0.state.lock().await.members.keys().cloned().collect()
    }
}

impl State {
    /// Decides where on a network a container is.
    fn place(
        &mut self,
        joining: Joining<'_>,
        network: &Network,
        request: &EndpointRequest,
    ) -> Result<Attachment, NetworkError> {
        let Joining { id, name, slot } = joining;
        let taken: Vec<_> =
            self.on(&network.id).flat_map(|(_, _, a)| a.addresses.clone()).collect();
        let mut addresses = Vec::new();
        for subnet in &network.subnets {
            let ipv6 = subnet.subnet.address().is_ipv6();
            let chosen = request.addresses.iter().find(|address| address.is_ipv6() == ipv6);
            if let Some(chosen) = chosen {
                check_chosen(*chosen, subnet, &taken)?;
                addresses.push(*chosen);
                continue;
            }
            let key = (network.id.clone(), ipv6);
            let free = subnet.free(self.last.get(&key).copied(), &taken);
            let free = free.ok_or_else(|| NetworkError::Full {
                version: if ipv6 { 6 } else { 4 },
                name: network.name.clone(),
                id: network.id.clone(),
            })?;
            self.last.insert(key, free);
            addresses.push(free);
        }
        if let Some(address) = request.addresses.iter().find(|a| !addresses.contains(a)) {
            return Err(NetworkError::Invalid(format!(
                "invalid endpoint settings: no configured subnet contains IP address {address}"
            )));
        }
        let mut all = vec![name.to_owned()];
        for alias in request.aliases.iter().map(String::as_str).chain([short_id(id)]) {
            if !all.iter().any(|known| known == alias) {
                all.push(alias.to_owned());
            }
        }
        let endpoint = names::new_id().map_err(|error| NetworkError::Id(error.to_string()))?;
        let mac = request.mac.unwrap_or_else(|| Service::card(id, slot).0);
        let (network, dns) = (network.id.clone(), request.dns.clone());
        Ok(Attachment { network, endpoint, slot, mac, addresses, names: all, dns })
    }
}

fn check_chosen(
    address: IpAddr,
    subnet: &super::Subnet,
    taken: &[IpAddr],
) -> Result<(), NetworkError> {
    if !subnet.chosen {
        return Err(NetworkError::Invalid(
            "user specified IP address is supported only when connecting to networks with user \
             configured subnets"
                .to_owned(),
        ));
    }
    if !subnet.allows(address) {
        let text = "invalid endpoint settings: no configured subnet contains IP address";
        return Err(NetworkError::Invalid(format!("{text} {address}")));
    }
    if taken.contains(&address) { Err(NetworkError::AddressInUse(address)) } else { Ok(()) }
}

impl Inner {
    /// Writes a member down, and takes it as it is then. One that is on no network is forgotten.
    pub(super) async fn remember(
        &self,
        state: &mut State,
        id: &str,
        member: Member,
    ) -> Result<(), NetworkError> {
        if member.attachments.is_empty() {
            self.members.remove(id).await?;
            state.members.remove(id);
        } else {
            self.members.put(id, &member).await?;
            state.members.insert(id.to_owned(), member);
        }
        Ok(())
    }

    /// Back to what it was. The store may be what failed; then its record is one too many until
    /// the engine looks after its containers at the next start.
    pub(super) async fn recall(&self, state: &mut State, id: &str, before: Option<Member>) {
        if let Err(error) = self.remember(state, id, before.unwrap_or_default()).await {
            log::error!("{}", crate::http::error::chain(&error));
            state.members.remove(id);
        }
    }

    /// Where something ends there is nobody to give an error to.
    pub(super) async fn tell_or_log(
        &self,
        state: &State,
        subject: &str,
        requests: Vec<control::Request>,
    ) {
        if requests.is_empty() {
            return;
        }
        let told = self.wire.tell(subject, || state.everything(), requests).await;
        if let Err(error) = told {
            log::warn!("{}", crate::http::error::chain(&error));
        }
    }
}
