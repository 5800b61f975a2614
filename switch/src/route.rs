//! Where a guest's packet for somebody outside of its network leads.
//!
//! The host's loopback interface is out of reach: services that listen there are not meant for
//! others. The gateway's address leads to the host's own outward address, as with Docker's bridge:
//! to what listens on all interfaces, under the name `host.docker.internal`.

use std::net::{IpAddr, SocketAddr};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, socket_with,
};

use crate::core::Core;
use crate::core::port::PortId;
use crate::dns;

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The name server.
    Dns,
    /// The gateway itself, for what is not a connection.
    Gateway,
    /// This address, as the host sees it.
    Host(SocketAddr),
    /// Nowhere.
    Nowhere,
}

/// Finds the way from a port.
pub(crate) fn find(core: &Core, port: PortId, far: SocketAddr) -> Route {
    let Some(network) = core.network_of(port) else { return Route::Nowhere };
    let spec = &network.spec;
    if network.is_gateway(far.ip()) {
        return match far.port() {
            dns::PORT => Route::Dns,
            0 => Route::Gateway,
            _ if spec.internal || spec.isolate_host => Route::Nowhere,
            number => match host_address(core, far.ip()) {
                Some(own) => Route::Host(SocketAddr::new(own, number)),
                None => Route::Nowhere,
            },
        };
    }
    if spec.internal || !is_elsewhere(far.ip()) {
        return Route::Nowhere;
    }
    if core.networks.values().any(|network| network.contains(far.ip())) {
        // Nobody has it, or it is on another network.
        return Route::Nowhere;
    }
    if spec.isolate_host && is_hosts_own(far.ip()) {
        return Route::Nowhere;
    }
    Route::Host(far)
}

/// Whether an address may be that of another machine, and is that of one.
fn is_elsewhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            // "This" network, loopback, and from multicast on.
            first != 0 && first != 127 && first < 224
        }
        IpAddr::V6(address) => {
            // IPv4 in disguise is judged as IPv4 nowhere: it is not let through.
            let in_disguise = address.to_ipv4().is_some();
            !(in_disguise
                || address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local())
        }
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// What a gateway's address leads to.
fn host_address(core: &Core, like: IpAddr) -> Option<IpAddr> {
    let mut chosen = core.host_addresses.iter().copied();
    chosen.find(|own| own.is_ipv4() == like.is_ipv4()).or_else(|| outward_address(like))
}

/// The address by which the host would call the world. No packet is sent.
fn outward_address(like: IpAddr) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): they are behind the default route.
    let elsewhere: IpAddr = match like {
        IpAddr::V4(_) => [192, 0, 2, 1].into(),
        IpAddr::V6(_) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
    };
    let fd = socket_with(family(like), SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    connect(&fd, &SocketAddr::new(elsewhere, 9)).ok()?;
    let own = SocketAddr::try_from(getsockname(&fd).ok()?).ok()?;
    is_elsewhere(own.ip()).then_some(own.ip())
}

/// Whether an address is one of the host's: only those can be bound to.
fn is_hosts_own(address: IpAddr) -> bool {
    socket_with(family(address), SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(|fd| bind(&fd, &SocketAddr::new(address, 0)))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_nowhere_in_any_dress() {
        for text in [
            "127.0.0.1",
            "127.255.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "fe80::1",
        ] {
            assert!(!is_elsewhere(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "10.0.0.1", "169.254.169.254", "2001:db8::1", "fd00::1"] {
            assert!(is_elsewhere(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn own_addresses_are_told_from_others() {
        assert!(is_hosts_own([127, 0, 0, 1].into()));
        assert!(!is_hosts_own([192, 0, 2, 1].into()));
    }
}
