//! Neighbour discovery (RFC 4861): what of ICMPv6 a switch must know.

use std::net::Ipv6Addr;

use super::{Malformed, PACKET, TYPE_IPV6, address, checksum, ip};
use crate::address::Mac;

const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// Flags of an advertisement: it is a router's; the one who asked gets it; it is to be believed.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// The option that holds the answering card's Ethernet address, of eight bytes.
const TARGET_ADDRESS: [u8; 2] = [2, 1];
/// Neighbour discovery counts only with this hop limit: it cannot have been routed.
const HOP_LIMIT: u8 = 255;
/// Length of an advertisement.
const LEN: usize = 32;

/// What an ICMPv6 message is to a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// Somebody asks who has this address.
    Solicitation(Ipv6Addr),
    /// Somebody says who has this address.
    Advertisement(Ipv6Addr),
    /// What only a router may say.
    Router,
    /// Something else.
    Other,
}

/// Reads an ICMPv6 message.
pub(crate) fn parse(message: &[u8]) -> Result<Message, Malformed> {
    match message.first() {
        None => Err(Malformed),
        Some(&SOLICITATION) => Ok(Message::Solicitation(target(message)?)),
        Some(&ADVERTISEMENT) => Ok(Message::Advertisement(target(message)?)),
        Some(&(ROUTER_ADVERTISEMENT | REDIRECT)) => Ok(Message::Router),
        Some(_) => Ok(Message::Other),
    }
}

/// The address that a question or an answer is about: both have it in the same place.
fn target(message: &[u8]) -> Result<Ipv6Addr, Malformed> {
    let target: &[u8; 16] = message.get(8..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok((*target).into())
}

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) mac: Mac,
    pub(crate) is_router: bool,
}

/// The frame that says who has `target`, to the card that asked from `asker`; an unspecified asker
/// only wants to know whether it may take the address, and all are told (RFC 4861, section 7.2.4).
pub(crate) fn answer(
    card: Mac,
    asker: Ipv6Addr,
    target: Ipv6Addr,
    owner: Owner,
) -> [u8; PACKET + ip::V6_HEADER + LEN] {
    let (to, solicited) = if asker.is_unspecified() {
        (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 0)
    } else {
        (asker, SOLICITED)
    };
    let router = if owner.is_router { ROUTER } else { 0 };
    let mut frame = [0; PACKET + ip::V6_HEADER + LEN];
    address(&mut frame, card, TYPE_IPV6);
    let packet = &mut frame[PACKET..];
    ip::write_header(packet, target.into(), to.into(), ip::ICMPV6);
    packet[7] = HOP_LIMIT;
    let message = [ADVERTISEMENT, 0, 0, 0, router | solicited | OVERRIDE, 0, 0, 0]
        .into_iter()
        .chain(target.octets())
        .chain(TARGET_ADDRESS)
        .chain(owner.mac.0);
    packet.iter_mut().skip(ip::V6_HEADER).zip(message).for_each(|(to, from)| *to = from);
    let pseudo = checksum::pseudo_header(target.into(), to.into(), ip::ICMPV6, LEN);
    let sum = checksum::finish(checksum::sum(pseudo, &packet[ip::V6_HEADER..]));
    [packet[ip::V6_HEADER + 2], packet[ip::V6_HEADER + 3]] = sum;
    frame
}

/// The link-local address that a card makes of its Ethernet address (RFC 4291, appendix A).
pub(crate) fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ip::Packet;

    const CARD: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OWNER: Mac = Mac([2, 0, 0, 0, 0, 9]);

    /// Who is told, the flags and the address, in an answer whose checksum is right.
    fn told(asker: &str, is_router: bool) -> (String, u8, Vec<u8>) {
        let target: Ipv6Addr = "fd00::1".parse().unwrap();
        let owner = Owner { mac: OWNER, is_router };
        let frame = answer(CARD, asker.parse().unwrap(), target, owner);
        let packet = Packet::parse_v6(&frame[PACKET..]).unwrap();
        let to = packet.destination;
        assert_eq!(packet.source, target);
        let message = &frame[PACKET..][packet.payload];
        let pseudo = checksum::pseudo_header(target.into(), to, ip::ICMPV6, LEN);
        assert_eq!((message[0], checksum::sum(pseudo, message)), (ADVERTISEMENT, 0xffff));
        (to.to_string(), message[4], message[26..].to_vec())
    }

    #[test]
    fn answer_is_a_whole_advertisement() {
        assert_eq!(told("fd00::2", true), ("fd00::2".to_owned(), 0xe0, OWNER.0.to_vec()));
        assert_eq!(told("fd00::2", false), ("fd00::2".to_owned(), 0x60, OWNER.0.to_vec()));
    }

    #[test]
    fn answer_to_nobody_is_for_all_and_not_solicited() {
        assert_eq!(told("::", false), ("ff02::1".to_owned(), 0x20, OWNER.0.to_vec()));
    }

    #[test]
    fn messages_are_told_apart() {
        let mut message = [0; 24];
        message[0] = 135;
        message[23] = 1;
        assert_eq!(parse(&message), Ok(Message::Solicitation(Ipv6Addr::LOCALHOST)));
        assert_eq!(parse(&message[..23]), Err(Malformed));
        message[0] = 136;
        assert_eq!(parse(&message), Ok(Message::Advertisement(Ipv6Addr::LOCALHOST)));
        assert_eq!(parse(&message[..23]), Err(Malformed));
        assert_eq!(parse(&[134]), Ok(Message::Router));
        assert_eq!(parse(&[128]), Ok(Message::Other));
        assert_eq!(parse(&[]), Err(Malformed));
    }

    #[test]
    fn link_local_address_is_made_of_the_cards() {
        let address = link_local(Mac([0x02, 0x42, 0xac, 0x12, 0, 2]));
        assert_eq!(address.to_string(), "fe80::42:acff:fe12:2");
    }
}
