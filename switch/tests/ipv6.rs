//! What is kept apart, by IPv6 too.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use support::guest::{Guest, gateway_v6};
use support::{Card, GATEWAY_MAC, QUIET, Rig, v6};
use switch::Settings;

const IPV6: u16 = 0x86dd;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// Where the host listens: what must not be reached, and on a host without IPv6, where nothing is
/// to be reached anyway, a port all the same.
fn loopback() -> [SocketAddr; 2] {
    [(Ipv6Addr::LOCALHOST, 0).into(), (Ipv4Addr::LOCALHOST, 0).into()]
}

/// A switch whose gateways lead to the loopback interface.
fn rig() -> Rig {
    let host_addresses = vec![Ipv6Addr::LOCALHOST.into()];
    Rig::with(Settings { host_addresses, ..Settings::default() })
}

fn packet(next: u8, source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, next, 255];
    packet.extend(address(source));
    packet.extend(address(destination));
    packet.extend(payload);
    packet
}

fn neighbor(kind: u8, target: &str) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.parse::<Ipv6Addr>().unwrap().octets());
    message
}

#[test]
fn networks_do_not_reach_each_other_over_ipv6() {
    let mut rig = rig();
    rig.network("a", 1);
    rig.network("b", 2);
    let (card, mut other) = (rig.card("a", 1, 2, &[]), rig.card("b", 2, 2, &[]));
    let own = "fd00:1::2";
    // A protocol that nobody knows: by the other card's Ethernet address, and by the gateway's.
    card.send(other.mac, IPV6, &packet(253, own, "fd00:2::2", b"hello"));
    card.send(GATEWAY_MAC, IPV6, &packet(253, own, "fd00:2::2", b"hello"));
    // Who has it, asked of the card itself, and an answer that nobody asked for.
    let question = neighbor(SOLICITATION, "fd00:2::2");
    card.send(other.mac, IPV6, &packet(58, own, "fd00:2::2", &question));
    let answer = neighbor(ADVERTISEMENT, own);
    card.send(other.mac, IPV6, &packet(58, own, "fd00:2::2", &answer));
    rig.wait_for("dropped frames", |s| s.ports[0].counters.unroutable == 4);
    // What is for all stays on the network.
    card.send([0x33, 0x33, 0, 0, 0, 1], IPV6, &packet(253, own, "ff02::1", b"hello"));
    assert_eq!(other.receive(QUIET), None);
}

#[test]
fn nobody_says_that_it_has_the_address_of_another() {
    let mut rig = rig();
    rig.network("a", 1);
    let (card, mut other) = (rig.card("a", 1, 2, &[]), rig.card("a", 1, 3, &[]));
    let all = [0x33, 0x33, 0, 0, 0, 1];
    // The gateway's, the one's who is told, and one that nobody has.
    for target in ["fd00:1::1", "fd00:1::3", "fd00:1::77"] {
        let claim = neighbor(ADVERTISEMENT, target);
        card.send(other.mac, IPV6, &packet(58, "fd00:1::2", "fd00:1::3", &claim));
        card.send(all, IPV6, &packet(58, "fd00:1::2", "ff02::1", &claim));
    }
    rig.wait_for("dropped frames", |s| s.ports[0].counters.spoofed == 6);
    // Its own is told.
    let told = packet(58, "fd00:1::2", "fd00:1::3", &neighbor(ADVERTISEMENT, "fd00:1::2"));
    card.send(other.mac, IPV6, &told);
    assert_eq!(other.receive(support::PATIENCE).unwrap()[14..], told);
}

#[test]
fn connections_to_other_networks_are_refused_over_ipv6() {
    let mut rig = rig();
    rig.network("a", 1);
    rig.network("b", 2);
    let mut guest = Guest::new(rig.card("a", 1, 2, &[]), &[v6(1, 2)]);
    let mut other = rig.card("b", 2, 2, &[]);
    let listener = TcpListener::bind(loopback().as_slice()).unwrap();
    let port = listener.local_addr().unwrap().port();
    // A card there, nobody there, its gateway, and the host's loopback interface in two spellings.
    for far in ["fd00:2::2", "fd00:2::77", "fd00:2::1", "::1", "::ffff:127.0.0.1"] {
        guest.is_refused(SocketAddr::new(far.parse().unwrap(), port));
    }
    assert_eq!((rig.status().flows.tcp, other.receive(QUIET)), (0, None));
}

#[test]
fn internal_network_has_no_way_out_over_ipv6_and_its_cards_reach_each_other() {
    let mut rig = rig();
    let mut spec = rig.network("a", 1);
    spec.internal = true;
    rig.client.put_network(spec).unwrap();
    let card = rig.card("a", 1, 2, &[]);
    let mut neighbour: Card = rig.card("a", 1, 3, &[]);
    let told = packet(253, "fd00:1::2", "fd00:1::3", b"hello");
    card.send(neighbour.mac, IPV6, &told);
    let frame = neighbour.receive(support::PATIENCE).unwrap();
    assert_eq!(frame[14..], told);

    let mut guest = Guest::new(card, &[v6(1, 2)]);
    let listener = TcpListener::bind(loopback().as_slice()).unwrap();
    let port = listener.local_addr().unwrap().port();
    for far in [gateway_v6(1), "2001:db8::1".parse().unwrap()] {
        guest.is_refused(SocketAddr::new(far.into(), port));
    }
    let host = UdpSocket::bind(loopback().as_slice()).unwrap();
    host.set_read_timeout(Some(QUIET)).unwrap();
    let far = SocketAddr::new(gateway_v6(1).into(), host.local_addr().unwrap().port());
    let handle = guest.bind(1000);
    guest.udp(handle).send_slice(b"hello", far).unwrap();
    guest.step(std::time::Duration::ZERO);
    assert!(host.recv_from(&mut [0; 16]).is_err(), "a datagram has left the network");
    let status = rig.status();
    assert_eq!((status.flows.tcp, status.flows.udp), (0, 0));
}
