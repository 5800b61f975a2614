//! A container on its networks.

use std::collections::HashMap;
use std::net::IpAddr;

use agent_protocol::message::{Card as CardMessage, ConfigureNetwork, Request, UpdateFiles};
use bollard_stubs::models::{EndpointSettings, PortBinding, PortSummary, PortSummaryTypeEnum};
use vm_spec::MacAddr;

use super::ContainerError;
use super::guest::{self, NetworkFiles};
use super::live::Container;
use super::machine::Machine;
use super::record::ContainerRecord;
use super::spec::{Protocol, SpecError, refuse_endpoint};
use crate::http::ApiError;
use crate::http::error::chain;
use crate::network::{
    EndpointRequest, HOST, Joined, Joining, NONE, Network, NetworkError, PortRequest, Publication,
    Service, endpoint_settings, tap_name,
};
use crate::sandbox::{Cable, Card};

/// Cards of a machine that has any, at least: those without a network are for networks that come
/// while it runs.
const CARDS: u8 = 4;

/// Docker's words.
pub(in crate::container) const NONE_ALONE: &str = "container cannot be connected to multiple networks with one \
                                     of the networks in private (none) mode";

/// A container on a network, and on what terms.
type Wanted = (String, EndpointSettings);

impl Container {
    /// Gets its places on its networks, publishes its ports, and gives its machine's cards.
    pub(super) async fn join_networks(&self) -> Result<Vec<Card>, ContainerError> {
        let joined = self.join_all().await;
        let published = match joined {
            Ok(()) => self.publish_ports().await,
            Err(error) => Err(error),
        };
        if let Err(error) = published {
            self.leave_networks().await;
            return Err(error);
        }
        self.cards().await
    }

    async fn join_all(&self) -> Result<(), ContainerError> {
        // An engine that was killed may have left places.
        self.leave_networks().await;
        let name = self.name();
        for (slot, (network, settings)) in self.wanted()?.into_iter().enumerate() {
            let slot = u8::try_from(slot).map_err(|_| too_many())?;
            let joining = Joining { id: &self.id, name: &name, slot };
            let request = self.endpoint_request(&settings)?;
            let joined = self.ground.networks.attach(joining, &network, &request).await;
            joined.map_err(refused)?;
        }
        Ok(())
    }

    /// The networks that it is to be on, the one of `--network` first while it is one of them.
    fn wanted(&self) -> Result<Vec<Wanted>, ContainerError> {
        let mode = self.spec().network.clone();
        if mode.starts_with("container:") || mode == HOST {
            let text = format!("--network {mode}");
            return Err(SpecError::Unsupported(text).into());
        }
        let endpoints = self.with_record(|record| record.endpoints.clone());
        let mut all: Vec<_> = endpoints.into_iter().collect();
        all.sort_by(|(one, _), (other, _)| (*one != mode, one).cmp(&(*other != mode, other)));
        Ok(all)
    }

    fn endpoint_request(
        &self,
        settings: &EndpointSettings,
    ) -> Result<EndpointRequest, ContainerError> {
        let ipam = settings.ipam_config.clone().unwrap_or_default();
        let mut addresses = Vec::new();
        for text in [ipam.ipv4_address, ipam.ipv6_address].into_iter().flatten() {
            if !text.is_empty() {
                addresses.push(address(&text)?);
            }
        }
        let mac = match settings.mac_address.as_deref() {
            None | Some("") => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| ContainerError::Invalid(format!("invalid MAC address: {text}")))?,
            ),
        };
        let servers = &self.spec().dns.servers;
        let dns = servers.iter().map(|text| address(text)).collect::<Result<_, _>>()?;
        let aliases = settings.aliases.clone().unwrap_or_default();
        Ok(EndpointRequest { aliases, addresses, mac, dns })
    }

    async fn publish_ports(&self) -> Result<(), ContainerError> {
        let spec = self.spec();
        let request = |port: &super::spec::Published| PortRequest {
            container_port: port.container.port,
            protocol: switch_protocol(port.container.protocol),
            host_address: port.host_address,
            first: port.first,
            last: port.last,
        };
        let ports: Vec<_> = spec.published.iter().map(request).collect();
        if !ports.is_empty() {
            let published = self.ground.networks.publish(&self.id, &ports).await;
            published.map_err(refused)?;
        }
        Ok(())
    }

    /// The machine's cards: one for each network, and spare ones.
    async fn cards(&self) -> Result<Vec<Card>, ContainerError> {
        let joined = self.ground.networks.joined(&self.id).await;
        let places: HashMap<u8, &Joined> = joined
            .iter()
            .filter(|joined| joined.network.has_cards())
            .map(|joined| (joined.attachment.slot, joined))
            .collect();
        let (Some(last), Some(first)) = (places.keys().max(), places.keys().min()) else {
            return Ok(Vec::new());
        };
        let card = |slot: u8| {
            let (default, port) = Service::card(&self.id, slot);
            let mac = places.get(&slot).map_or(default, |joined| joined.attachment.mac);
            // Spare ones are as the first.
            let joined = places.get(&slot).or_else(|| places.get(first));
            let cable = if joined.is_some_and(|joined| joined.network.on_kernel_bridge()) {
                Cable::Tap(tap_name(&self.id, slot))
            } else {
                Cable::Switch { socket: self.ground.networks.socket(), port }
            };
            Card { mac: MacAddr::new(mac.0), cable }
        };
        Ok((0..CARDS.max(last.saturating_add(1))).map(card).collect())
    }

    /// What its networks contribute to the files of `dweller`, who lives here.
    pub(super) async fn network_files(
        &self,
        dweller: &Self,
    ) -> Result<NetworkFiles, ContainerError> {
        let joined = self.ground.networks.joined(&self.id).await;
        let with_cards: Vec<_> =
            joined.into_iter().filter(|joined| joined.network.has_cards()).collect();
        let linked = dweller.linked(&with_cards, true).await?;
        Ok(NetworkFiles { linked, ..network_files(&with_cards) })
    }

    /// Gives its places back.
    pub(super) async fn leave_networks(&self) {
        if let Err(error) = self.ground.networks.detach_all(&self.id).await {
            log::error!("container {}: {}", self.id, chain(&error));
        }
    }

    /// Gives the machine's cards their addresses.
    pub(super) async fn configure_network(&self, machine: &Machine) -> Result<(), ContainerError> {
        let joined = self.ground.networks.joined(&self.id).await;
        let with_cards: Vec<_> =
            joined.into_iter().filter(|joined| joined.network.has_cards()).collect();
        let default = with_cards.iter().position(|joined| !joined.network.internal);
        let cards: Vec<_> = with_cards
            .iter()
            .enumerate()
            .map(|(index, joined)| joined.card(Some(index) == default))
            .collect();
        if cards.is_empty() {
            return Ok(());
        }
        self.ground.networks.plug_in(&self.id).await.map_err(refused)?;
        // The others are for networks to come, and not for the container to see.
        configure(machine, cards, true).await
    }

    /// Puts it on one more network.
    pub async fn connect(
        &self,
        network: &str,
        settings: EndpointSettings,
    ) -> Result<(), ContainerError> {
        self.refuse_in_pod()?;
        refuse_endpoint(&settings)?;
        let _operation = self.operation.lock().await;
        // A container may be about to start the machine of its pod.
        let _opening = self.opening.lock().await;
        let request = self.endpoint_request(&settings)?;
        let found = self.ground.networks.find(network).await.map_err(refused)?;
        self.refuse_none_beside_others(&found).await?;
        if let Some(machine) = self.machine_of_cards() {
            self.join_while_running(&machine, &found, request).await?;
        }
        self.change(|record| drop(record.endpoints.insert(found.name, settings))).await
    }

    /// The machine that has the cards of its networks, while it runs.
    fn machine_of_cards(&self) -> Option<Machine> {
        if self.is_pod() { self.home_machine() } else { self.run().map(|run| run.machine.clone()) }
    }

    /// Who is on the network without anything is on no other, as with Docker.
    async fn refuse_none_beside_others(&self, found: &Network) -> Result<(), ContainerError> {
        let on: Vec<_> = self.with_record(|record| record.endpoints.keys().cloned().collect());
        for key in on {
            let name = self.ground.networks.find(&key).await.map_or(key, |network| network.name);
            if name != found.name && (name == NONE || found.name == NONE) {
                return Err(ContainerError::Invalid(NONE_ALONE.to_owned()));
            }
        }
        Ok(())
    }

    async fn join_while_running(
        &self,
        machine: &Machine,
        found: &Network,
        request: EndpointRequest,
    ) -> Result<(), ContainerError> {
        let slot = if found.has_cards() { self.free_card(machine, found).await? } else { 0 };
        let name = self.name();
        let joining = Joining { id: &self.id, name: &name, slot };
        // The card is there already, with the address that it was made with.
        let request = EndpointRequest { mac: None, ..request };
        let joined = self.ground.networks.attach(joining, &found.id, &request).await;
        let joined = joined.map_err(refused)?;
        if !found.has_cards() {
            return Ok(());
        }
        let configured = self.plug_in(machine, &joined).await;
        if configured.is_err() {
            // The error that is told is why.
            let _ = self.ground.networks.detach(&self.id, &found.id).await;
        }
        configured
    }

    /// A card of its machine that no network is on yet, and that fits this one.
    async fn free_card(&self, machine: &Machine, found: &Network) -> Result<u8, ContainerError> {
        let taken = self.ground.networks.joined(&self.id).await;
        let slots: Vec<_> = taken.iter().map(|joined| joined.attachment.slot).collect();
        let taps = machine.taps()?;
        if taps.is_empty() {
            // It was on no network when it started.
            let text = "its machine has no network card: stop the container first";
            return Err(ContainerError::Conflict(text.to_owned()));
        }
        let fits = |slot: &u8| {
            let is_tap = taps.get(usize::from(*slot)).copied();
            !slots.contains(slot) && is_tap == Some(found.on_kernel_bridge())
        };
        (0..CARDS).find(fits).ok_or_else(too_many)
    }

    async fn plug_in(&self, machine: &Machine, joined: &Joined) -> Result<(), ContainerError> {
        self.ground.networks.plug_in(&self.id).await.map_err(refused)?;
        configure(machine, vec![joined.card(false)], false).await?;
        self.update_files(machine).await
    }

    /// Takes it off a network.
    pub async fn disconnect(&self, network: &str) -> Result<(), ContainerError> {
        self.refuse_in_pod()?;
        let _operation = self.operation.lock().await;
        let _opening = self.opening.lock().await;
        let found = self.ground.networks.find(network).await;
        let (name, id) = found.map_or_else(
            |_| (network.to_owned(), None),
            |network| (network.name, Some(network.id)),
        );
        let is_it = |key: &String| *key == name || Some(key) == id.as_ref();
        let forget = |record: &mut ContainerRecord| record.endpoints.retain(|key, _| !is_it(key));
        if let Some(machine) = self.machine_of_cards() {
            let left = self.ground.networks.detach(&self.id, network).await.map_err(refused)?;
            // Whatever its guest says to that.
            self.change(forget).await?;
            if left.network.has_cards() {
                let mac = left.attachment.mac.to_string();
                let down = CardMessage { mac, down: true, ..CardMessage::default() };
                configure(&machine, vec![down], false).await?;
                self.update_files(&machine).await?;
            }
            return Ok(());
        }
        if !self.with_record(|record| record.endpoints.keys().any(is_it)) {
            let container = self.name();
            return Err(refused(NetworkError::NotAttached { container, network: name }));
        }
        self.change(forget).await
    }

    /// The addresses in the files of those who live here follow the networks.
    async fn update_files(&self, machine: &Machine) -> Result<(), ContainerError> {
        let joined = self.ground.networks.joined(&self.id).await;
        let with_cards: Vec<_> =
            joined.into_iter().filter(|joined| joined.network.has_cards()).collect();
        if !self.is_pod() {
            return self.write_network_files(machine, &with_cards).await;
        }
        for member in self.members() {
            let written = member.write_network_files(machine, &with_cards).await;
            // One that does not run has no files there, and gets them with its next start.
            if member.run().is_some() {
                written?;
            }
        }
        Ok(())
    }

    async fn write_network_files(
        &self,
        machine: &Machine,
        joined: &[Joined],
    ) -> Result<(), ContainerError> {
        let linked = self.linked(joined, false).await?;
        let network = NetworkFiles { linked, ..network_files(joined) };
        let files = guest::files(&self.spec(), &network);
        let update = Request::UpdateFiles(UpdateFiles { id: self.id.clone(), files });
        let updated = machine.agent().act_at_once(update).await;
        updated.map_err(|error| ContainerError::Machine(chain(&error)))
    }

    /// Its networks as `inspect` shows them.
    pub(super) async fn network_documents(&self) -> HashMap<String, EndpointSettings> {
        let asked = self.wanted().unwrap_or_default();
        let mut all: HashMap<String, EndpointSettings> = HashMap::new();
        for (name, settings) in &asked {
            let id = self.ground.networks.find(name).await.map(|network| network.id);
            let network_id = Some(id.unwrap_or_default());
            all.insert(name.clone(), EndpointSettings { network_id, ..settings.clone() });
        }
        for joined in self.ground.networks.joined(&self.id).await {
            let name = joined.network.name.clone();
            let id = &joined.network.id;
            // It may have been asked for by its id.
            let by_id = asked.iter().find(|(key, _)| id.starts_with(key.as_str()));
            if let Some((key, _)) = by_id {
                all.remove(key);
            }
            let settings = all.remove(&name).unwrap_or_default();
            all.insert(name, endpoint_settings(&joined, &settings));
        }
        all
    }

    /// Its ports as `inspect` shows them.
    pub(super) async fn port_documents(&self) -> HashMap<String, Option<Vec<PortBinding>>> {
        let spec = self.spec();
        let mut all: HashMap<_, Option<Vec<_>>> =
            spec.exposed.iter().map(|port| (port.to_string(), None)).collect();
        for publication in self.ground.networks.published(&self.id).await {
            let port = format!("{}/{}", publication.container_port, word(&publication));
            let binding = PortBinding {
                host_ip: Some(publication.host_address.to_string()),
                host_port: Some(publication.host_port.to_string()),
            };
            all.entry(port).or_default().get_or_insert_default().push(binding);
        }
        all
    }

    /// Its ports as lists show them.
    pub(super) async fn port_summaries(&self) -> Vec<PortSummary> {
        let published = self.ground.networks.published(&self.id).await;
        let kind = |protocol: &str| match protocol {
            "udp" => PortSummaryTypeEnum::UDP,
            _ => PortSummaryTypeEnum::TCP,
        };
        let mut all: Vec<_> = published
            .iter()
            .map(|publication| PortSummary {
                ip: Some(publication.host_address.to_string()),
                private_port: publication.container_port,
                public_port: Some(publication.host_port),
                typ: Some(kind(word(publication))),
            })
            .collect();
        for port in &self.spec().exposed {
            let typ = Some(kind(port.protocol.as_str()));
            let shown = |one: &PortSummary| one.private_port == port.port && one.typ == typ;
            if !all.iter().any(shown) {
                let private_port = port.port;
                all.push(PortSummary { ip: None, private_port, public_port: None, typ });
            }
        }
        all
    }
}

async fn configure(
    machine: &Machine,
    cards: Vec<CardMessage>,
    hide_others: bool,
) -> Result<(), ContainerError> {
    let configure = Request::ConfigureNetwork(ConfigureNetwork { cards, hide_others });
    let configured = machine.agent().act_at_once(configure).await;
    configured.map_err(|error| ContainerError::Machine(chain(&error)))
}

fn network_files(joined: &[Joined]) -> NetworkFiles {
    let addresses = joined.iter().flat_map(|joined| &joined.attachment.addresses);
    // The resolver of the first network answers for all that is outside; each knows the names of
    // its own network.
    let servers: Vec<_> = joined.iter().flat_map(Joined::name_servers).collect();
    NetworkFiles {
        addresses: addresses.map(IpAddr::to_string).collect(),
        gateway: servers.first().map(IpAddr::to_string),
        linked: Vec::new(),
        // The C library asks no more than three.
        name_servers: servers.iter().take(3).map(IpAddr::to_string).collect(),
    }
}

fn address(text: &str) -> Result<IpAddr, ContainerError> {
    text.parse().map_err(|_| ContainerError::Invalid(format!("invalid IP address: {text}")))
}

fn too_many() -> ContainerError {
    ContainerError::Conflict(format!(
        "a container is on at most {CARDS} networks while it runs, and comes onto further ones of \
         its first one's kind: on bridges of the kernel, or not"
    ))
}

fn refused(error: NetworkError) -> ContainerError {
    let error = ApiError::from(error);
    let (status, message) = (error.status(), error.message().to_owned());
    ContainerError::Other { status, message }
}

fn switch_protocol(protocol: Protocol) -> switch::control::Protocol {
    match protocol {
        Protocol::Tcp => switch::control::Protocol::Tcp,
        Protocol::Udp => switch::control::Protocol::Udp,
    }
}

pub(super) fn word(publication: &Publication) -> &'static str {
    match publication.protocol {
        switch::control::Protocol::Tcp => "tcp",
        switch::control::Protocol::Udp => "udp",
    }
}
