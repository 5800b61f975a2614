//! Ethernet frames of the metadata service: which ones are for it, and ARP.

use std::net::Ipv4Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The service's own Ethernet address, locally administered.
pub(super) const SERVICE_MAC: [u8; 6] = [0x06, 0x01, 0x23, 0x45, 0x67, 0x01];

const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
const TYPE_ARP: [u8; 2] = [0x08, 0x06];
/// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4 (RFC 826).
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];
const ARP_REPLY: [u8; 2] = [0, 2];

/// An Ethernet header.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Ethernet {
    destination: [u8; 6],
    source: [u8; 6],
    kind: [u8; 2],
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Arp {
    spaces: [u8; 6],
    operation: [u8; 2],
    sender_mac: [u8; 6],
    sender_ip: [u8; 4],
    target_mac: [u8; 6],
    target_ip: [u8; 4],
}

/// The part of an IPv4 header that does not vary in length (RFC 791).
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Ipv4 {
    _until_fragment: [u8; 6],
    fragment: [u8; 2],
    _until_source: [u8; 4],
    _source: [u8; 4],
    destination: [u8; 4],
}

/// A frame for the service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// The guest asks for the service's Ethernet address. Holds the answer.
    ArpRequest(Vec<u8>),
    /// An IPv4 packet, from this Ethernet address.
    Ipv4([u8; 6], &'a [u8]),
    /// Something else of no use.
    Other,
}

/// Whether a frame that begins so is for the service at `address`.
pub(super) fn is_for(address: Ipv4Addr, start: &[u8]) -> bool {
    let Ok((ethernet, rest)) = Ethernet::ref_from_prefix(start) else { return false };
    match ethernet.kind {
        TYPE_ARP => Arp::ref_from_prefix(rest).is_ok_and(|(arp, _)| {
            arp.spaces == ARP_ETHERNET_IPV4 && arp.target_ip == address.octets()
        }),
        TYPE_IPV4 => {
            Ipv4::ref_from_prefix(rest).is_ok_and(|(ip, _)| ip.destination == address.octets())
        }
        _ => false,
    }
}

/// Takes a frame apart for which [`is_for`] holds.
pub(super) fn parse(frame: &[u8]) -> Frame<'_> {
    let Ok((ethernet, payload)) = Ethernet::ref_from_prefix(frame) else { return Frame::Other };
    match ethernet.kind {
        TYPE_ARP => match Arp::ref_from_prefix(payload) {
            Ok((arp, _)) if arp.operation == ARP_REQUEST => Frame::ArpRequest(answer(arp)),
            _ => Frame::Other,
        },
        TYPE_IPV4 => match Ipv4::ref_from_prefix(payload) {
            // Fragments are not put together: nobody sends a request in any.
            Ok((ip, _)) if u16::from_be_bytes(ip.fragment) & 0x3fff == 0 => {
                Frame::Ipv4(ethernet.source, payload)
            }
            _ => Frame::Other,
        },
        _ => Frame::Other,
    }
}

fn answer(request: &Arp) -> Vec<u8> {
    let reply = Arp {
        spaces: ARP_ETHERNET_IPV4,
        operation: ARP_REPLY,
        sender_mac: SERVICE_MAC,
        sender_ip: request.target_ip,
        target_mac: request.sender_mac,
        target_ip: request.sender_ip,
    };
    wrap(request.sender_mac, TYPE_ARP, reply.as_bytes())
}

/// An IPv4 packet of the service in a frame to `guest`.
pub(super) fn wrap_ipv4(guest: [u8; 6], packet: &[u8]) -> Vec<u8> {
    wrap(guest, TYPE_IPV4, packet)
}

fn wrap(destination: [u8; 6], kind: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let header = Ethernet { destination, source: SERVICE_MAC, kind };
    [header.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
    const GUEST: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn arp(operation: u8, target: Ipv4Addr) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend(GUEST);
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
        frame.extend(GUEST);
        frame.extend([192, 168, 0, 2, 0, 0, 0, 0, 0, 0]);
        frame.extend(target.octets());
        frame
    }

    fn ipv4(destination: Ipv4Addr, fragment: [u8; 2]) -> Vec<u8> {
        let mut frame = [&SERVICE_MAC[..], &GUEST, &[8, 0]].concat();
        frame.extend([0x45, 0, 0, 20, 0, 0, fragment[0], fragment[1], 64, 6, 0, 0, 192, 168, 0, 2]);
        frame.extend(destination.octets());
        frame
    }

    #[test]
    fn packets_and_requests_to_the_address_are_for_the_service() {
        let other = Ipv4Addr::new(169, 254, 169, 253);
        assert!(is_for(ADDRESS, &arp(1, ADDRESS)) && !is_for(ADDRESS, &arp(1, other)));
        let (own, foreign) = (ipv4(ADDRESS, [0; 2]), ipv4(other, [0; 2]));
        assert!(is_for(ADDRESS, &own) && !is_for(ADDRESS, &foreign));
    }

    #[test]
    fn cut_short_frames_are_for_nobody() {
        assert!(!is_for(ADDRESS, &arp(1, ADDRESS)[..41]));
        assert!(!is_for(ADDRESS, &ipv4(ADDRESS, [0; 2])[..33]));
        assert!(!is_for(ADDRESS, &[]));
    }

    #[test]
    fn address_request_is_answered_to_the_asker() {
        let Frame::ArpRequest(reply) = parse(&arp(1, ADDRESS)) else { panic!("no answer") };
        assert_eq!(reply[..6], GUEST);
        assert_eq!(reply[20..22], ARP_REPLY);
        assert_eq!(reply[22..28], SERVICE_MAC);
        assert_eq!(reply[28..32], ADDRESS.octets());
        assert_eq!(reply[32..38], GUEST);
        assert_eq!(reply.len(), 42);
    }

    #[test]
    fn address_reply_and_fragments_are_of_no_use() {
        assert_eq!(parse(&arp(2, ADDRESS)), Frame::Other);
        assert_eq!(parse(&ipv4(ADDRESS, [0x20, 0])), Frame::Other);
        assert_eq!(parse(&ipv4(ADDRESS, [0, 1])), Frame::Other);
        // Don't Fragment is no fragment.
        assert!(matches!(parse(&ipv4(ADDRESS, [0x40, 0])), Frame::Ipv4(GUEST, _)));
    }
}
