//! The rules as nft(8) reads them: two tables of this engine's own, replaced as a whole.
//!
//! | chain | does |
//! |---|---|
//! | `raw` | drops what is for another bridge's range, or for the host's loopback interface |
//! | `input` | internal networks reach nothing of the host but its name server |
//! | `forward` | nothing comes in but answers and published ports; internal networks have no way |
//! | `prerouting`, `output`, `published` | published ports, the host's own callers' too |
//! | `postrouting` | who leaves a network does so under the host's address |
//! | table `bridge`, a chain a card | drops what is not from the card's own addresses |
//!
//! Nothing in them touches packets that neither come from nor go to a bridge of ours. Rules of
//! others apply as well: what any of them drops is dropped.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};

use switch::control::Protocol;

use super::plan::{Bridge, Card, Forward, Plan};

/// A script for nft that puts the plan in force in tables called `table`, in one step.
pub(super) fn render(table: &str, plan: &Plan) -> String {
    let mut text = String::new();
    for family in ["inet", "bridge"] {
        // A table that is not there cannot be deleted, and one that is can be added.
        line(&mut text, &format!("table {family} {table} {{}}"));
        line(&mut text, &format!("delete table {family} {table}"));
    }
    if plan.bridges.is_empty() {
        return text;
    }
    line(&mut text, &format!("table inet {table} {{"));
    raw(&mut text, &plan.bridges);
    input(&mut text, &plan.bridges);
    forward(&mut text, &plan.bridges);
    published(&mut text, plan);
    postrouting(&mut text, &plan.bridges);
    line(&mut text, "}");
    line(&mut text, &format!("table bridge {table} {{"));
    cards(&mut text, &plan.cards);
    line(&mut text, "}");
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

/// A base chain, whose policy is to accept.
fn chain(text: &mut String, name: &str, hook: &str, rules: impl FnOnce(&mut String)) {
    line(text, &format!("chain {name} {{\ntype {hook}; policy accept;"));
    rules(text);
    line(text, "}");
}

/// A set of links.
fn links<'a>(bridges: impl Iterator<Item = &'a Bridge>) -> Option<String> {
    let names: Vec<_> = bridges.map(|bridge| format!("\"{}\"", bridge.name)).collect();
    (!names.is_empty()).then(|| format!("{{ {} }}", names.join(", ")))
}

fn family(ipv6: bool) -> &'static str {
    if ipv6 { "ip6" } else { "ip" }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn raw(text: &mut String, bridges: &[Bridge]) {
    let Some(all) = links(bridges.iter()) else { return };
    chain(text, "raw", "filter hook prerouting priority -300", |text| {
        line(text, &format!("iifname {all} ip daddr 127.0.0.0/8 drop"));
        for bridge in bridges {
            let others = bridges.iter().filter(|other| other.name != bridge.name);
            for (_, range) in others.flat_map(|other| &other.gateways) {
                let family = family(range.address().is_ipv6());
                line(text, &format!("iifname \"{}\" {family} daddr {range} drop", bridge.name));
            }
        }
    });
}

fn input(text: &mut String, bridges: &[Bridge]) {
    chain(text, "input", "filter hook input priority 0", |text| {
        for bridge in bridges.iter().filter(|bridge| bridge.internal) {
            let from = format!("iifname \"{}\"", bridge.name);
            for (gateway, _) in &bridge.gateways {
                let family = family(gateway.is_ipv6());
                for protocol in ["udp", "tcp"] {
                    let to = format!("{family} daddr {gateway} {protocol} dport 53");
                    line(text, &format!("{from} {to} accept"));
                }
            }
            let neighbors = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }";
            line(text, &format!("{from} {neighbors} accept"));
            line(text, &format!("{from} drop"));
        }
    });
}

fn forward(text: &mut String, bridges: &[Bridge]) {
    let Some(all) = links(bridges.iter()) else { return };
    chain(text, "forward", "filter hook forward priority 0", |text| {
        for Bridge { name, .. } in bridges {
            // Where bridged frames pass here at all (br_netfilter).
            line(text, &format!("iifname \"{name}\" oifname \"{name}\" accept"));
        }
        if let Some(internal) = links(bridges.iter().filter(|bridge| bridge.internal)) {
            line(text, &format!("iifname {internal} drop"));
            line(text, &format!("oifname {internal} drop"));
        }
        line(text, &format!("oifname {all} ct state established,related accept"));
        line(text, &format!("oifname {all} ct status dnat accept"));
        line(text, &format!("oifname {all} drop"));
    });
}

fn published(text: &mut String, plan: &Plan) {
    line(text, "chain published {");
    for Forward { protocol: kind, from, to } in &plan.forwards {
        let (family, kind) = (family(to.is_ipv6()), protocol(*kind));
        let here = match from.ip() {
            ip if ip.is_unspecified() => {
                format!("meta nfproto {}", if ip.is_ipv6() { "ipv6" } else { "ipv4" })
            }
            ip => format!("{family} daddr {ip}"),
        };
        line(text, &format!("{here} {kind} dport {} dnat {family} to {to}", from.port()));
    }
    line(text, "}");
    let local = "fib daddr type local jump published";
    chain(text, "prerouting", "nat hook prerouting priority -100", |text| {
        if let Some(internal) = links(plan.bridges.iter().filter(|bridge| bridge.internal)) {
            line(text, &format!("iifname {internal} accept"));
        }
        line(text, local);
    });
    chain(text, "output", "nat hook output priority -100", |text| line(text, local));
}

fn postrouting(text: &mut String, bridges: &[Bridge]) {
    chain(text, "postrouting", "nat hook postrouting priority 100", |text| {
        for Bridge { name, gateways, .. } in bridges.iter().filter(|bridge| !bridge.internal) {
            // The host's own callers, who would get no answer at the loopback address.
            line(text, &format!("oifname \"{name}\" ip saddr 127.0.0.0/8 masquerade"));
            for (_, range) in gateways {
                let family = family(range.address().is_ipv6());
                let within = format!("oifname \"{name}\" {family} saddr {range}");
                // The answer has to come back here, though both are on one network.
                line(text, &format!("{within} ct status dnat masquerade"));
                let out = format!("oifname != \"{name}\" {family} saddr {range}");
                line(text, &format!("{out} masquerade"));
            }
        }
    });
}

fn cards(text: &mut String, cards: &[Card]) {
    for Card { tap, mac, addresses, .. } in cards {
        line(text, &format!("chain {tap} {{\nether saddr != {mac} drop"));
        for address in addresses.iter().filter(|address| address.is_ipv4()) {
            let arp = format!("arp saddr ether {mac} arp saddr ip {address}");
            line(text, &format!("ether type arp {arp} accept"));
            line(text, &format!("ether type ip ip saddr {address} accept"));
        }
        let own = own_ipv6(card_link_local(mac.0), addresses);
        line(text, "icmpv6 type { nd-router-advert, nd-redirect } drop");
        // The address that a neighbour says is its own, behind four bytes of flags.
        let claims: Vec<_> = own.iter().map(|ip| format!("{:#034x}", ip.to_bits())).collect();
        let claims = format!("@th,64,128 != {{ {} }}", claims.join(", "));
        line(text, &format!("icmpv6 type nd-neighbor-advert {claims} drop"));
        let own: Vec<_> = own.iter().map(Ipv6Addr::to_string).collect();
        // One that looks whether an address is free has none yet.
        line(text, &format!("ether type ip6 ip6 saddr {{ ::, {} }} accept", own.join(", ")));
        line(text, "drop\n}");
    }
    let jumps: Vec<_> = cards.iter().map(|card| format!("\"{0}\" : jump {0}", card.tap)).collect();
    if !jumps.is_empty() {
        chain(text, "prerouting", "filter hook prerouting priority -200", |text| {
            line(text, &format!("iifname vmap {{ {} }}", jumps.join(", ")));
        });
    }
}

/// The addresses of IPv6 that a card may speak from.
fn own_ipv6(link_local: Ipv6Addr, addresses: &[IpAddr]) -> Vec<Ipv6Addr> {
    let given = addresses.iter().filter_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    std::iter::once(link_local).chain(given).collect()
}

/// The link-local address that a card makes of its own (RFC 4291, appendix A).
fn card_link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let word = u16::from_be_bytes;
    let (first, second) = (word([a ^ 2, b]), word([c, 0xff]));
    Ipv6Addr::new(0xfe80, 0, 0, 0, first, second, word([0xfe, d]), word([e, f]))
}
