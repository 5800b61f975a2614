//! Frames between cards.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Card, GATEWAY_MAC, PATIENCE, QUIET, Rig, port, v4};
use switch::control::FaultKind;

const BROADCAST: [u8; 6] = [0xff; 6];
const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

fn arp(operation: u8, mac: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
    packet.extend(mac);
    packet.extend(sender);
    packet.extend([0; 6]);
    packet.extend(target);
    packet
}

/// An IPv4 packet of a protocol that nobody knows.
fn ipv4(source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 253, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(payload);
    packet
}

fn solicitation(source: &str, target: &str) -> Vec<u8> {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
    packet.extend(address(source));
    packet.extend(address("ff02::1:ff00:1"));
    packet.extend([135, 0, 0, 0, 0, 0, 0, 0]);
    packet.extend(address(target));
    packet
}

#[test]
fn gateway_answers_for_its_ipv4_address() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let mut card = rig.card("a", 1, 2, &[]);
    card.send(BROADCAST, ARP, &arp(1, card.mac, [10, 1, 0, 2], [10, 1, 0, 1]));
    let answer = card.receive(PATIENCE).unwrap();
    assert_eq!(answer[..6], card.mac);
    assert_eq!(answer[20..32], [&[0, 2][..], &GATEWAY_MAC, &[10, 1, 0, 1]].concat());
}

#[test]
fn gateway_answers_for_its_ipv6_address() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let mut card = rig.card("a", 1, 2, &[]);
    let packet = solicitation("fd00:1::2", "fd00:1::1");
    card.send([0x33, 0x33, 0xff, 0, 0, 1], IPV6, &packet);
    let answer = card.receive(PATIENCE).unwrap();
    assert_eq!((answer[54], &answer[80..86]), (136, &GATEWAY_MAC[..]));
}

#[test]
fn question_for_an_address_is_answered_for_an_owner_that_is_not_there_yet() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let (mut asker, mut other) = (rig.card("a", 1, 2, &[]), rig.card("a", 1, 4, &[]));
    // Its machine boots: it has no card.
    let owner = port("a-3", Some("a"), 1, 3);
    rig.client.put_port(owner.clone()).unwrap();
    asker.send(BROADCAST, ARP, &arp(1, asker.mac, [10, 1, 0, 2], [10, 1, 0, 3]));
    let answer = asker.receive(PATIENCE).unwrap();
    assert_eq!(answer[..6], asker.mac);
    assert_eq!(answer[20..32], [&[0, 2][..], &owner.mac.0, &[10, 1, 0, 3]].concat());
    // Who has it, asked by one who knows it and by one who would like to have it.
    for source in ["fd00:1::2", "::"] {
        asker.send([0x33, 0x33, 0xff, 0, 0, 3], IPV6, &solicitation(source, "fd00:1::3"));
        let answer = asker.receive(PATIENCE).unwrap();
        assert_eq!((answer[54], &answer[80..86]), (136, &owner.mac.0[..]));
    }
    assert_eq!(other.receive(QUIET), None);
}

#[test]
fn question_for_an_address_of_nobody_has_no_answer() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let mut asker = rig.card("a", 1, 2, &[]);
    asker.send(BROADCAST, ARP, &arp(1, asker.mac, [10, 1, 0, 2], [10, 1, 0, 3]));
    // As is an announcement: all know.
    asker.send(BROADCAST, ARP, &arp(1, asker.mac, [10, 1, 0, 2], [10, 1, 0, 2]));
    rig.wait_for("question", |s| s.ports[0].counters.unroutable == 1);
    assert_eq!(asker.receive(QUIET), None);
}

#[test]
fn frame_goes_to_the_card_it_names_byte_by_byte() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let sender = rig.card("a", 1, 2, &[]);
    let (mut named, mut other) = (rig.card("a", 1, 3, &[]), rig.card("a", 1, 4, &[]));
    let packet = ipv4([10, 1, 0, 2], [10, 1, 0, 3], &vec![7; 65_500]);
    sender.send(named.mac, IPV4, &packet);
    assert_eq!(named.receive(PATIENCE).unwrap()[14..], packet);
    assert_eq!(other.receive(QUIET), None);
}

#[test]
fn frame_to_all_goes_to_all_others_of_the_network_and_not_on() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    rig.network("b", 2);
    let mut sender = rig.card("a", 1, 2, &[]);
    let (mut first, mut second) = (rig.card("a", 1, 3, &[]), rig.card("a", 1, 4, &[]));
    let mut stranger = rig.card("b", 2, 2, &[]);
    let packet = ipv4([10, 1, 0, 2], [255; 4], b"all");
    sender.send(BROADCAST, IPV4, &packet);
    assert_eq!(first.receive(PATIENCE).unwrap()[14..], packet);
    assert_eq!(second.receive(PATIENCE).unwrap()[14..], packet);
    assert_eq!(stranger.receive(QUIET), None);
    assert_eq!(sender.receive(QUIET), None);
}

#[test]
fn frames_to_all_are_bounded() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let sender = rig.card("a", 1, 2, &[]);
    let packet = ipv4([10, 1, 0, 2], [255; 4], b"all");
    (0..1000).for_each(|_| sender.send(BROADCAST, IPV4, &packet));
    let status = rig.wait_for("flood", |s| s.ports[0].counters.rx_frames == 1000);
    assert!(status.ports[0].counters.flooded > 100, "{status:?}");
}

#[test]
fn networks_do_not_reach_each_other() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    rig.network("b", 2);
    let (card, mut other) = (rig.card("a", 1, 2, &[]), rig.card("b", 2, 2, &[]));
    let packet = ipv4([10, 1, 0, 2], [10, 2, 0, 2], b"hello");
    // By its card's address, and by the gateway's.
    card.send(other.mac, IPV4, &packet);
    card.send(GATEWAY_MAC, IPV4, &packet);
    card.send(BROADCAST, ARP, &arp(1, card.mac, [10, 1, 0, 2], [10, 2, 0, 2]));
    rig.wait_for("dropped frames", |s| s.ports[0].counters.unroutable == 3);
    assert_eq!(other.receive(QUIET), None);
}

#[test]
fn sources_that_are_not_the_ports_own_are_dropped() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let (card, mut victim) = (rig.card("a", 1, 2, &[]), rig.card("a", 1, 3, &[]));
    let stolen = Card { fd: card.fd.try_clone().unwrap(), mac: [2, 9, 9, 9, 9, 9], link_up: true };
    stolen.send(victim.mac, IPV4, &ipv4([10, 1, 0, 2], [10, 1, 0, 3], b""));
    card.send(victim.mac, IPV4, &ipv4([10, 1, 0, 9], [10, 1, 0, 3], b""));
    card.send(victim.mac, IPV4, &ipv4([0; 4], [10, 1, 0, 3], b""));
    card.send(BROADCAST, ARP, &arp(1, card.mac, [10, 1, 0, 1], [10, 1, 0, 3]));
    card.send(victim.mac, ARP, &arp(2, [2, 9, 9, 9, 9, 9], [10, 1, 0, 2], [10, 1, 0, 3]));
    card.send(victim.mac, IPV6, &solicitation("fd00:1::9", "fd00:1::3"));
    // What only a router may say.
    let mut advertisement = solicitation("fe80::ff:fe00:102", "fd00:1::3");
    advertisement[40] = 134;
    card.send(BROADCAST, IPV6, &advertisement);
    rig.wait_for("dropped frames", |s| s.ports[0].counters.spoofed == 7);
    assert_eq!(victim.receive(QUIET), None);
}

#[test]
fn hostile_frames_are_counted_and_change_nothing() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let mut card = rig.card("a", 1, 2, &[]);
    let good = ipv4([10, 1, 0, 2], [10, 1, 0, 3], b"x");
    let mut sent = 0;
    let mut hostile = |message: &[u8]| {
        card.send_raw(message);
        sent += 1;
    };
    // Too short for an Ethernet header, and longer than any frame.
    hostile(&[0; 12]);
    hostile(&[0; 25]);
    hostile(&vec![0; 69_000]);
    let mut whole = vec![0; 12];
    whole.extend(GATEWAY_MAC);
    whole.extend(card.mac);
    whole.extend([8, 0]);
    whole.extend(&good);
    // A train of segments, and a checksum that lies past the end.
    for header in [&[0, 1, 0, 0, 1, 0][..], &[1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]] {
        let mut frame = whole.clone();
        frame[..header.len()].copy_from_slice(header);
        hostile(&frame);
    }
    // Lengths that lie, cut short.
    for (at, value) in [(12 + 14, 0x4f), (12 + 14 + 2, 0xff), (12 + 14 + 3, 3)] {
        let mut frame = whole.clone();
        frame[at] = value;
        hostile(&frame);
    }
    hostile(&whole[..40]);
    let status = rig.wait_for("malformed frames", |s| s.ports[0].counters.rx_frames == sent);
    assert_eq!(status.ports[0].counters.malformed, sent);
    card.send(BROADCAST, ARP, &arp(1, card.mac, [10, 1, 0, 2], [10, 1, 0, 1]));
    assert!(card.receive(PATIENCE).is_some());
}

#[test]
fn checksum_is_completed_for_a_card_that_does_not() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let (sender, receiver) = (rig.card("a", 1, 2, &[]), rig.card("a", 1, 3, &[]));
    let packet = ipv4([10, 1, 0, 2], [10, 1, 0, 3], &[0, 0, 0x12, 0x34, 0, 0]);
    let mut frame = vec![1, 0, 0, 0, 0, 0, 34, 0, 4, 0, 0, 0];
    frame.extend(receiver.mac);
    frame.extend(sender.mac);
    frame.extend([8, 0]);
    frame.extend(&packet);
    sender.send_raw(&frame);
    assert_eq!(receiver.receive_raw(PATIENCE).unwrap(), frame);
    receiver.send_raw(&[4, 0]);
    rig.status();
    sender.send_raw(&frame);
    let completed = receiver.receive_raw(PATIENCE).unwrap();
    assert_eq!((completed[0], &completed[12 + 38..]), (0, &[!0x12, !0x34][..]));
}

#[test]
fn port_that_changes_networks_pulls_the_cable_and_plugs_it_in() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    rig.network("b", 2);
    let mut card = rig.card("a", 1, 2, &[]);
    assert!(card.link_up);
    let spec = port("a-2", None, 1, 2);
    rig.client.put_port(spec.clone()).unwrap();
    assert_eq!(card.receive_raw(PATIENCE), Some(vec![3, 0]));
    card.send(BROADCAST, ARP, &arp(1, card.mac, [10, 1, 0, 2], [10, 1, 0, 1]));
    assert_eq!(card.receive(QUIET), None);
    rig.client.put_port(port("a-2", Some("b"), 2, 2)).unwrap();
    assert_eq!(card.receive_raw(PATIENCE), Some(vec![3, 1]));
    card.mac = [2, 0, 0, 0, 2, 2];
    card.send(BROADCAST, ARP, &arp(1, card.mac, [10, 2, 0, 2], [10, 2, 0, 1]));
    assert!(card.receive(PATIENCE).is_some());
    rig.client.remove_port("a-2").unwrap();
    assert_eq!(card.receive_raw(PATIENCE), Some(vec![3, 0]));
    assert_eq!(rig.status().strangers, ["a-2"]);
}

#[test]
fn card_may_come_before_its_port() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let card = Card::connect(&rig.ports(), "early", [2, 0, 0, 0, 1, 2]);
    assert!(!card.link_up);
    assert_eq!(rig.status().strangers, ["early"]);
    rig.client.put_port(port("early", Some("a"), 1, 2)).unwrap();
    assert_eq!(card.receive_raw(PATIENCE), Some(vec![3, 1]));
}

#[test]
fn second_card_of_a_port_is_refused_until_the_first_has_gone() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    let first = rig.card("a", 1, 2, &[]);
    let fd = Card::open(&rig.ports());
    let second = Card { fd, mac: first.mac, link_up: false };
    second.send_raw(b"BHSW\x01\0\0\0a-2");
    let answer = second.receive_raw(PATIENCE).unwrap();
    assert_eq!((answer[0], &answer[1..]), (2, &b"port a-2 has a card already"[..]));
    drop(first);
    rig.wait_for("free port", |status| status.ports[0].card.is_none());
    assert!(Card::connect(&rig.ports(), "a-2", second.mac).link_up);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let mut rig = Rig::new();
    rig.network("a", 1);
    rig.client.put_port(port("p", Some("a"), 1, 2)).unwrap();
    let mut refused = |spec| {
        let error = rig.client.put_port(spec).unwrap_err();
        let fault = error.fault().unwrap().clone();
        (fault.kind, fault.message)
    };
    let message = "port q: no network z".to_owned();
    assert_eq!(refused(port("q", Some("z"), 1, 3)), (FaultKind::NotFound, message));
    let mut same_address = port("q", Some("a"), 1, 3);
    same_address.addresses = vec![v4(1, 2)];
    let message = "port q: 10.1.0.2 is another port's".to_owned();
    assert_eq!(refused(same_address), (FaultKind::InUse, message));
    let mut gateways = port("q", Some("a"), 1, 3);
    gateways.addresses = vec![v4(1, 1)];
    assert_eq!(refused(gateways).0, FaultKind::Invalid);
    let mut same_mac = port("q", Some("a"), 1, 3);
    same_mac.mac = port("p", None, 1, 2).mac;
    assert_eq!(refused(same_mac).0, FaultKind::InUse);
    let error = rig.client.remove_network("a").unwrap_err();
    assert_eq!(error.fault().unwrap().message, "network a has 1 ports");
}

#[test]
fn ports_and_networks_that_come_and_go_leave_nothing_behind() {
    let mut rig = Rig::new();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut before = 0;
    for round in 0..200 {
        rig.network("a", 1);
        let mut card = rig.card("a", 1, 2, &["web"]);
        card.send(BROADCAST, ARP, &arp(1, card.mac, [10, 1, 0, 2], [10, 1, 0, 1]));
        assert!(card.receive(PATIENCE).is_some());
        drop(card);
        rig.client.remove_port("a-2").unwrap();
        rig.client.remove_network("a").unwrap();
        rig.wait_for("empty switch", |s| s.strangers.is_empty() && s.ports.is_empty());
        if round == 0 {
            before = descriptors();
        }
    }
    assert_eq!(rig.status().networks, []);
    assert_eq!(descriptors(), before);
}
