#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use super::*;
use crate::control::{self, MAX_MTU, Subnet};
use crate::core::network::Network;
use crate::core::port::Port;

const PORT: PortId = PortId(1);
const PUBLICATION: u64 = 7;

/// A port on a network, and who it is there.
fn core() -> (Core, SocketAddr) {
    let mut core = Core::new(vec![]).unwrap();
    let subnet = Subnet { subnet: "10.1.0.0/24".parse().unwrap(), gateway: [10, 1, 0, 1].into() };
    let network = control::Network {
        id: "a".to_owned(),
        subnets: vec![subnet],
        internal: false,
        isolate_host: false,
        on_host: false,
        mtu: MAX_MTU,
        domain: None,
    };
    core.networks.insert("a".to_owned(), Network::new(network));
    let spec = control::Port {
        port: "p".to_owned(),
        network: Some("a".to_owned()),
        mac: crate::address::Mac([2, 0, 0, 0, 0, 1]),
        addresses: vec![[10, 1, 0, 2].into()],
        names: vec![],
        dns: vec![],
    };
    core.ports.insert(PORT, Port::new(spec, core.now));
    (core, SocketAddr::new([10, 1, 0, 2].into(), 53))
}

fn peer(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(0x0b00_0000 + number).into(), 1000)
}

#[test]
fn strangers_without_number_leave_the_guest_its_own_flows_and_others_theirs() {
    let ((mut core, guest), mut udp) = (core(), Udp::default());
    let mut far = |core: &mut Core, peer| udp.far_end(core, PUBLICATION, peer, PORT, guest);
    let friend = far(&mut core, peer(0)).unwrap();
    for stranger in 1..20_000 {
        assert!(far(&mut core, peer(stranger)).is_some(), "{stranger}");
        if stranger % 1_000 == 0 {
            assert_eq!(far(&mut core, peer(0)), Some(friend), "{stranger}");
        }
    }
    assert_eq!((udp.len(), core.ports[&PORT].flows), (MAX_PUBLISHED, MAX_PUBLISHED));
    assert!(udp.turns[&PORT].len() <= MAX_TURNS);
    assert!(core.begin_flow(PORT));
    core.end_flow(PORT);

    udp.end_publication(&mut core, PUBLICATION);
    let port = &core.ports[&PORT];
    assert_eq!((udp.len(), port.flows, port.published), (0, 0, 0));
}

#[test]
fn connections_by_publications_leave_the_guest_its_own_flows() {
    let (mut core, _) = core();
    let begun = (0..10_000).filter(|_| core.begin_published(PORT)).count();
    assert_eq!((begun, core.begin_flow(PORT)), (MAX_PUBLISHED, true));
}
