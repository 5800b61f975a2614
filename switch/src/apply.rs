//! What the engine's requests do.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use crate::control::{
    CardStatus, Fault, FaultKind, FlowCounts, MAX_MTU, MIN_MTU, Network, NetworkStatus, Port,
    PortStatus, Publication, Published, Request, Response, Status,
};
use crate::core::card::is_name;
use crate::core::network;
use crate::core::port::{self, PortId};
use crate::frame::GATEWAY_MAC;
use crate::switch::Switch;

/// More than one host can have use for.
const MAX_NETWORKS: usize = 1_024;
const MAX_PORTS: usize = 8_192;
const MAX_PUBLICATIONS: usize = 65_536;
/// More than a port can have use for.
const MAX_PER_PORT: usize = 256;
/// Ports of the host below this one are for root, unless the host says otherwise.
const FIRST_UNPRIVILEGED: u16 = 1_024;

fn fault(kind: FaultKind, message: String) -> Fault {
    Fault { kind, message }
}

fn invalid(message: String) -> Fault {
    fault(FaultKind::Invalid, message)
}

/// Does what is asked.
pub(crate) fn apply(switch: &mut Switch, request: Request) -> Response {
    let result = match request {
        Request::PutNetwork(network) => put_network(switch, network),
        Request::RemoveNetwork(name) => remove_network(switch, &name.id),
        Request::PutPort(port) => put_port(switch, port),
        Request::RemovePort(name) => {
            remove_port(switch, &name.port);
            Ok(Response::Done)
        }
        Request::Publish(publication) => publish(switch, publication),
        Request::Unpublish(name) => {
            switch.unpublish(&name.id);
            Ok(Response::Done)
        }
        Request::Status => Ok(Response::Status(Box::new(status(switch)))),
        Request::Shutdown => {
            switch.ends = true;
            Ok(Response::Done)
        }
    };
    result.unwrap_or_else(Response::Failed)
}

fn put_network(switch: &mut Switch, spec: Network) -> Result<Response, Fault> {
    check_network(&spec)?;
    let core = &mut switch.core;
    if let Some(network) = core.networks.get_mut(&spec.id) {
        if let Some(address) = network.by_address.keys().find(|address| !fits(&spec, **address)) {
            return Err(fault(
                FaultKind::InUse,
                format!("network {}: a port has {address}, which would be outside", spec.id),
            ));
        }
        if network.spec != spec {
            network.spec = spec.clone();
            open_counters(switch, &spec)?;
        }
        return Ok(Response::Done);
    }
    if core.networks.len() >= MAX_NETWORKS {
        return Err(fault(FaultKind::Limit, format!("there are {MAX_NETWORKS} networks")));
    }
    open_counters(switch, &spec)?;
    switch.core.networks.insert(spec.id.clone(), network::Network::new(spec));
    Ok(Response::Done)
}

/// Where the name server of a network is asked that is not the switch's own.
fn open_counters(switch: &mut Switch, spec: &Network) -> Result<(), Fault> {
    let opened = switch.dns.open_counters(&mut switch.core, spec);
    opened.map_err(|error| {
        switch.dns.close_counters(&spec.id);
        let gateway = spec.subnets.first().map_or(IpAddr::from([0; 4]), |first| first.gateway);
        listen_fault(SocketAddr::new(gateway, 53), &error)
    })
}

fn check_network(spec: &Network) -> Result<(), Fault> {
    let wrong = |what: String| Err(invalid(format!("network {}: {what}", spec.id)));
    if !is_name(&spec.id) {
        return Err(invalid(format!("{:?} is no name of a network", spec.id)));
    }
    if !(MIN_MTU..=MAX_MTU).contains(&spec.mtu) {
        return wrong(format!("an MTU of {} is not in {MIN_MTU} to {MAX_MTU}", spec.mtu));
    }
    let mut families = [false; 2];
    for subnet in &spec.subnets {
        if !subnet.subnet.contains(subnet.gateway) {
            return wrong(format!("gateway {} is not in {}", subnet.gateway, subnet.subnet));
        }
        let [v4, v6] = &mut families;
        let seen = if subnet.gateway.is_ipv4() { v4 } else { v6 };
        if std::mem::replace(seen, true) {
            return wrong("two ranges of one family".to_owned());
        }
    }
    Ok(())
}

/// Whether a port of a network may have an address.
fn fits(network: &Network, address: IpAddr) -> bool {
    let mut subnets = network.subnets.iter();
    subnets.any(|subnet| subnet.subnet.contains(address) && subnet.gateway != address)
}

fn remove_network(switch: &mut Switch, id: &str) -> Result<Response, Fault> {
    if let Some(network) = switch.core.networks.get(id) {
        if !network.ports.is_empty() {
            let count = network.ports.len();
            return Err(fault(FaultKind::InUse, format!("network {id} has {count} ports")));
        }
        switch.core.networks.remove(id);
        switch.dns.close_counters(id);
    }
    Ok(Response::Done)
}

fn put_port(switch: &mut Switch, spec: Port) -> Result<Response, Fault> {
    let known = switch.core.port_names.get(&spec.port).copied();
    check_port(switch, &spec, known)?;
    let Some(id) = known else {
        if switch.core.ports.len() >= MAX_PORTS {
            return Err(fault(FaultKind::Limit, format!("there are {MAX_PORTS} ports")));
        }
        add_port(switch, spec);
        return Ok(Response::Done);
    };
    let Some(old) = switch.core.ports.get(&id).map(|port| port.spec.clone()) else {
        return Ok(Response::Done);
    };
    if old == spec {
        return Ok(Response::Done);
    }
    let moves =
        (old.network != spec.network) || (old.mac != spec.mac) || (old.addresses != spec.addresses);
    if moves {
        switch.unplug(id);
    }
    if let Some(port) = switch.core.ports.get_mut(&id) {
        port.spec = spec;
    }
    if moves {
        switch.plug(id);
    }
    Ok(Response::Done)
}

fn add_port(switch: &mut Switch, spec: Port) {
    let core = &mut switch.core;
    let id = PortId(core.next_id());
    let name = spec.port.clone();
    let mut port = port::Port::new(spec, core.now);
    // Its card may have come first.
    let card = core.cards.iter_mut().find(|(_, card)| card.name.as_ref() == Some(&name));
    if let Some((number, card)) = card {
        port.card = Some(*number);
        card.port = Some(id);
    }
    core.ports.insert(id, port);
    core.port_names.insert(name, id);
    switch.plug(id);
}

fn check_port(switch: &Switch, spec: &Port, known: Option<PortId>) -> Result<(), Fault> {
    let about = |what: String| format!("port {}: {what}", spec.port);
    if !is_name(&spec.port) {
        return Err(invalid(format!("{:?} is no name of a port", spec.port)));
    }
    if !spec.mac.is_unicast() || spec.mac == GATEWAY_MAC {
        return Err(invalid(about(format!("{} is no address of a card", spec.mac))));
    }
    if spec.addresses.len() + spec.names.len() + spec.dns.len() > MAX_PER_PORT {
        return Err(invalid(about(format!("more than {MAX_PER_PORT} addresses and names"))));
    }
    let Some(id) = &spec.network else { return Ok(()) };
    let network = switch.core.networks.get(id);
    let network =
        network.ok_or_else(|| fault(FaultKind::NotFound, about(format!("no network {id}"))))?;
    let taken = |owner: Option<&PortId>| owner.is_some_and(|owner| Some(*owner) != known);
    if taken(network.by_mac.get(&spec.mac)) {
        return Err(fault(FaultKind::InUse, about(format!("{} is another port's", spec.mac))));
    }
    for address in &spec.addresses {
        if !fits(&network.spec, *address) {
            return Err(invalid(about(format!("{address} is no address of network {id}"))));
        }
        if taken(network.by_address.get(address)) {
            return Err(fault(FaultKind::InUse, about(format!("{address} is another port's"))));
        }
    }
    Ok(())
}

fn remove_port(switch: &mut Switch, name: &str) {
    let Some(id) = switch.core.port_names.get(name).copied() else { return };
    for publication in switch.publications.of_port(id) {
        switch.unpublish(&publication);
    }
    switch.unplug(id);
    switch.core.port_names.remove(name);
    let port = switch.core.ports.remove(&id);
    let card = port.and_then(|port| switch.core.cards.get_mut(&port.card?));
    if let Some(card) = card {
        card.port = None;
    }
}

fn publish(switch: &mut Switch, publication: Publication) -> Result<Response, Fault> {
    let name = &publication.port;
    let Some(port) = switch.core.port_names.get(name).copied() else {
        return Err(fault(FaultKind::NotFound, format!("no port {name} to publish")));
    };
    if publication.container_port == 0 || !is_name(&publication.id) {
        return Err(invalid(format!("publication {:?} leads nowhere", publication.id)));
    }
    if let Some(host_port) = switch.publications.same(&publication, port) {
        return Ok(Response::Published(Published { host_port }));
    }
    if switch.publications.specs().count() >= MAX_PUBLICATIONS {
        return Err(fault(FaultKind::Limit, format!("there are {MAX_PUBLICATIONS} publications")));
    }
    switch.unpublish(&publication.id);
    let place = SocketAddr::new(publication.host_address, publication.host_port);
    let added = switch.publications.add(&mut switch.core, publication, port);
    added
        .map(|host_port| Response::Published(Published { host_port }))
        .map_err(|error| listen_fault(place, &error))
}

fn listen_fault(place: SocketAddr, error: &io::Error) -> Fault {
    let (kind, why) = match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => (FaultKind::InUse, "address already in use".to_owned()),
        Some(Errno::ACCESS) if place.port() < FIRST_UNPRIVILEGED => {
            let why = "only root may listen at ports below 1024: choose another, or lower the \
                       host's net.ipv4.ip_unprivileged_port_start";
            (FaultKind::Denied, why.to_owned())
        }
        Some(Errno::ACCESS | Errno::PERM) => (FaultKind::Denied, "permission denied".to_owned()),
        Some(Errno::ADDRNOTAVAIL) => {
            (FaultKind::Invalid, "the host does not have this address".to_owned())
        }
        Some(Errno::MFILE | Errno::NFILE) => (FaultKind::Limit, "too many open files".to_owned()),
        _ => (FaultKind::Host, error.to_string()),
    };
    fault(kind, format!("failed to listen at {place}: {why}"))
}

fn status(switch: &Switch) -> Status {
    let core = &switch.core;
    let networks = core
        .networks
        .values()
        .map(|network| NetworkStatus { network: network.spec.clone(), ports: network.ports.len() });
    let ports = core.port_names.values().filter_map(|id| core.ports.get(id)).map(|port| {
        let card = port.card.and_then(|id| core.cards.get(&id));
        PortStatus {
            port: port.spec.clone(),
            card: card.map(|card| CardStatus {
                link_up: card.is_link_up(),
                waiting_bytes: card.waiting_bytes(),
            }),
            counters: port.counters,
        }
    });
    let strangers = core.cards.values().filter(|card| card.port.is_none());
    Status {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        networks: networks.collect(),
        ports: ports.collect(),
        publications: switch.publications.specs().cloned().collect(),
        strangers: strangers.filter_map(|card| card.name.clone()).collect(),
        flows: FlowCounts {
            tcp: switch.tcp.len(),
            udp: switch.udp.len(),
            echo: switch.echo.len(),
            dns: switch.dns.len(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(place: &str) -> String {
        listen_fault(place.parse().unwrap(), &Errno::ACCESS.into()).message
    }

    #[test]
    fn port_that_only_root_may_have_is_told_as_such() {
        let message = denied("127.0.0.1:80");
        assert!(message.starts_with("failed to listen at 127.0.0.1:80: only root"), "{message}");
        assert_eq!(denied("[::1]:8080"), "failed to listen at [::1]:8080: permission denied");
    }
}
