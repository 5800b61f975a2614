//! Setting up network cards. Needs root, and `ip` to make cards.

use std::process::Command;

use agent_protocol::message::{Card, ConfigureNetwork, FailureKind, Request, SetClock};

use crate::harness::TestAgent;

const MAC: &str = "02:00:00:00:00:05";

/// An agent with two cards that are joined to each other.
fn agent_with_card() -> Option<TestAgent> {
    let ip = Command::new("ip").arg("-V").output().is_ok();
    if !ip || !rustix::process::getuid().is_root() {
        eprintln!("skipped: needs root and the program ip");
        return None;
    }
    let agent = TestAgent::with_own_network();
    let pair = format!("ip link add probe address {MAC} type veth peer name other");
    if !agent.sh(&format!("{pair} && ip link set other up")).status.success() {
        eprintln!("skipped: the kernel makes no cards");
        return None;
    }
    Some(agent)
}

fn card() -> Card {
    Card {
        mac: MAC.into(),
        name: "eth0".into(),
        addresses: vec!["10.9.0.2/24".into(), "fd00:9::2/64".into()],
        gateways: vec!["10.9.0.1".into(), "fd00:9::1".into()],
        mtu: 9000,
        ..Card::default()
    }
}

fn configure(agent: &TestAgent, card: Card) {
    let request = ConfigureNetwork { cards: vec![card], hide_others: false };
    agent.client.request(Request::ConfigureNetwork(request)).unwrap();
}

fn shown(agent: &TestAgent, what: &str) -> String {
    let output = agent.sh(&format!("ip -o {what} | tr -s ' '"));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_card_gets_its_name_addresses_and_gateways() {
    let Some(agent) = agent_with_card() else { return };
    configure(&agent, card());
    let link = shown(&agent, "link show eth0");
    assert!(link.contains("mtu 9000") && link.contains(",UP"), "{link}");
    let addresses = shown(&agent, "addr show eth0");
    assert!(addresses.contains("inet 10.9.0.2/24"), "{addresses}");
    assert!(addresses.contains("inet6 fd00:9::2/64 scope global"), "{addresses}");
    let route = shown(&agent, "route show default");
    assert!(route.contains("default via 10.9.0.1 dev eth0"), "{route}");
    let route = shown(&agent, "-6 route show default");
    assert!(route.contains("default via fd00:9::1 dev eth0"), "{route}");
}

#[test]
fn new_addresses_replace_the_old_ones() {
    let Some(agent) = agent_with_card() else { return };
    configure(&agent, card());
    let mut other = card();
    other.addresses = vec!["10.8.0.7/16".into(), "fd00:9::2/64".into()];
    other.gateways = vec!["10.8.0.1".into()];
    configure(&agent, other);
    let addresses = shown(&agent, "addr show eth0");
    assert!(addresses.contains("10.8.0.7/16") && addresses.contains("fd00:9::2/64"), "{addresses}");
    assert!(!addresses.contains("10.9.0.2"), "{addresses}");
    assert!(shown(&agent, "route show default").contains("via 10.8.0.1"));
}

#[test]
fn a_card_is_taken_down_with_its_addresses() {
    let Some(agent) = agent_with_card() else { return };
    configure(&agent, card());
    configure(&agent, Card { mac: MAC.into(), down: true, ..Card::default() });
    assert!(!shown(&agent, "link show eth0").contains(",UP"));
    assert!(!shown(&agent, "addr show eth0").contains("inet"));
}

#[test]
fn spare_cards_are_seen_only_while_a_network_is_on_them() {
    let Some(agent) = agent_with_card() else { return };
    let spare = "02:00:00:00:00:06";
    let pair = format!("ip link add spare address {spare} type veth peer name third");
    assert!(agent.sh(&format!("{pair} && ip link set third up")).status.success());
    let request = ConfigureNetwork { cards: vec![card()], hide_others: true };
    agent.client.request(Request::ConfigureNetwork(request)).unwrap();
    let links = shown(&agent, "link show");
    assert!(links.contains("eth0") && links.contains("third"), "{links}");
    assert!(!links.contains(spare), "{links}");
    let second = Card {
        mac: spare.into(),
        name: "eth1".into(),
        addresses: vec!["10.10.0.2/24".into()],
        ..Card::default()
    };
    configure(&agent, second);
    let link = shown(&agent, "link show eth1");
    assert!(link.contains(spare) && link.contains(",UP"), "{link}");
    assert!(shown(&agent, "addr show eth1").contains("10.10.0.2/24"));
    configure(&agent, Card { mac: spare.into(), down: true, ..Card::default() });
    assert!(!shown(&agent, "link show").contains(spare));
    // Doing so twice is fine.
    configure(&agent, Card { mac: spare.into(), down: true, ..Card::default() });
    assert!(shown(&agent, "addr show eth0").contains("10.9.0.2/24"));
}

#[test]
fn nothing_is_touched_if_one_card_cannot_be_set_up() {
    let Some(agent) = agent_with_card() else { return };
    let mut wrong = card();
    wrong.addresses.push("10.0.0.1/99".into());
    let request = ConfigureNetwork { cards: vec![card(), wrong], hide_others: true };
    let error = agent.client.request(Request::ConfigureNetwork(request)).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::InvalidRequest));
    assert_eq!(error.to_string(), "Invalid address: \"10.0.0.1/99\"");
    assert!(shown(&agent, "link show probe").contains("DOWN"));
}

#[test]
fn a_clock_that_is_nearly_right_does_not_jump() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let agent = TestAgent::start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let request = SetClock { now_ns: u64::try_from(now.as_nanos()).unwrap() };
    agent.client.request(Request::SetClock(request)).unwrap();
    let after = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(after - now < std::time::Duration::from_secs(30));
}
