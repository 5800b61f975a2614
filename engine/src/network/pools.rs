//! Which subnet a network gets that asks for none.

use std::net::{IpAddr, Ipv6Addr};

use switch::address::Cidr;

use super::range::Range;
use crate::container::names;

/// Docker's pools for networks of one host: each with the prefix of the networks made of it.
const POOLS: [(&str, u8); 13] = [
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/16", 16),
    ("172.21.0.0/16", 16),
    ("172.22.0.0/16", 16),
    ("172.23.0.0/16", 16),
    ("172.24.0.0/16", 16),
    ("172.25.0.0/16", 16),
    ("172.26.0.0/16", 16),
    ("172.27.0.0/16", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
];

/// An IPv4 subnet that has nothing in common with `taken`.
pub(super) fn ipv4(taken: &[Range]) -> Option<Cidr> {
    let subnets = POOLS.iter().flat_map(|(pool, prefix)| split(pool, *prefix));
    subnets.into_iter().find(|subnet| is_free(*subnet, taken))
}

fn split(pool: &str, prefix: u8) -> Vec<Cidr> {
    let Ok(pool) = pool.parse::<Cidr>() else { return Vec::new() };
    let count = 1_u128 << prefix.saturating_sub(pool.prefix());
    let size = 1_u128 << (32 - u32::from(prefix));
    let first = |number| Range::of(pool).nth(number * size);
    (0..count).filter_map(|number| Cidr::new(first(number)?, prefix)).collect()
}

/// A unique local IPv6 subnet (RFC 4193) that has nothing in common with `taken`.
pub(super) fn ipv6(taken: &[Range]) -> Option<Cidr> {
    for _ in 0..16 {
        let [a, b, c, d, e, f, g] = names::random().ok()?;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&[0xfd, a, b, c, d, e, f, g]);
        let subnet = Cidr::new(IpAddr::V6(Ipv6Addr::from(bytes)), 64)?;
        if is_free(subnet, taken) {
            return Some(subnet);
        }
    }
    None
}

fn is_free(subnet: Cidr, taken: &[Range]) -> bool {
    !taken.iter().any(|taken| taken.overlaps(Range::of(subnet)))
}

/// The networks that the host has routes to. Containers could not reach what their own network
/// hides.
pub(super) fn of_the_host() -> Vec<Range> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    table.lines().skip(1).filter_map(route).collect()
}

/// A line of the routing table: interface, destination, gateway, …, with the mask as eighth; all
/// in hexadecimal in the host's byte order. Default routes hide nothing.
fn route(line: &str) -> Option<Range> {
    let mut fields = line.split_ascii_whitespace();
    let destination = u32::from_str_radix(fields.nth(1)?, 16).ok()?.to_ne_bytes();
    let mask = u32::from_str_radix(fields.nth(5)?, 16).ok()?;
    let prefix = u8::try_from(mask.count_ones()).ok().filter(|prefix| *prefix > 0)?;
    Some(Range::of(Cidr::new(IpAddr::from(destination), prefix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_dockers_and_come_in_its_order() {
        let mut taken = Vec::new();
        let mut subnets = Vec::new();
        while let Some(subnet) = ipv4(&taken) {
            taken.push(Range::of(subnet));
            subnets.push(subnet.to_string());
        }
        assert_eq!(subnets.len(), 15 + 16);
        assert_eq!((subnets[0].as_str(), subnets[14].as_str()), ("172.17.0.0/16", "172.31.0.0/16"));
        assert_eq!(subnets[30], "192.168.240.0/20");
    }

    #[test]
    fn subnet_of_the_host_is_passed_over() {
        let line = "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0";
        let taken = route(line).unwrap();
        assert_eq!(taken, Range::of("172.17.0.0/16".parse().unwrap()));
        assert_eq!(ipv4(&[taken]).unwrap().to_string(), "172.18.0.0/16");
        assert_eq!(route("eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0"), None);
    }

    #[test]
    fn ipv6_subnets_are_unique_local() {
        let subnet = ipv6(&[]).unwrap();
        assert!(Range::of("fd00::/8".parse().unwrap()).holds(Range::of(subnet)));
        assert_eq!(subnet.prefix(), 64);
    }
}
