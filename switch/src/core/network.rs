//! Networks: who is on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::port::PortId;
use crate::address::Mac;
use crate::control;

/// A network and its ports.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) spec: control::Network,
    pub(crate) ports: BTreeSet<PortId>,
    pub(crate) by_mac: BTreeMap<Mac, PortId>,
    pub(crate) by_address: BTreeMap<IpAddr, PortId>,
}

impl Network {
    pub(crate) fn new(spec: control::Network) -> Self {
        let (ports, by_mac, by_address) = Default::default();
        Self { spec, ports, by_mac, by_address }
    }

    /// Enters a port with its addresses.
    pub(crate) fn plug_in(&mut self, id: PortId, port: &control::Port) {
        self.ports.insert(id);
        self.by_mac.insert(port.mac, id);
        self.by_address.extend(port.addresses.iter().map(|address| (*address, id)));
    }

    /// Forgets a port.
    pub(crate) fn pull_out(&mut self, id: PortId) {
        self.ports.remove(&id);
        self.by_mac.retain(|_, owner| *owner != id);
        self.by_address.retain(|_, owner| *owner != id);
    }

    /// Whether this is the switch's own address.
    pub(crate) fn is_gateway(&self, address: IpAddr) -> bool {
        self.spec.subnets.iter().any(|subnet| subnet.gateway == address)
    }

    /// The switch's own address of the family of `like`.
    pub(crate) fn gateway_like(&self, like: IpAddr) -> Option<IpAddr> {
        let mut gateways = self.spec.subnets.iter().map(|subnet| subnet.gateway);
        gateways.find(|gateway| gateway.is_ipv4() == like.is_ipv4())
    }

    /// Whether an address is in the network's ranges.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.spec.subnets.iter().any(|subnet| subnet.subnet.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::new(control::Network {
            id: "n".into(),
            subnets: vec![control::Subnet {
                subnet: "10.1.0.0/16".parse().unwrap(),
                gateway: "10.1.0.1".parse().unwrap(),
            }],
            internal: false,
            isolate_host: false,
            on_host: false,
            mtu: 1500,
            domain: None,
        })
    }

    #[test]
    fn pulled_port_leaves_nothing_behind() {
        let mut network = network();
        let port = control::Port {
            port: "p".into(),
            network: Some("n".into()),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            addresses: vec!["10.1.0.2".parse().unwrap()],
            names: vec![],
            dns: vec![],
        };
        network.plug_in(PortId(1), &port);
        assert_eq!(network.by_address.get(&port.addresses[0]), Some(&PortId(1)));
        network.pull_out(PortId(1));
        assert!(network.ports.is_empty() && network.by_mac.is_empty());
        assert!(network.by_address.is_empty());
    }
}
