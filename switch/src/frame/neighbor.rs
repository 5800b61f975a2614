//! Neighbour discovery (RFC 4861): what of ICMPv6 a switch must know.

use std::net::Ipv6Addr;

use super::{GATEWAY_MAC, Malformed, PACKET, TYPE_IPV6, address, checksum, ip};
use crate::address::Mac;

const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// Flags of an advertisement: a router's, asked for, to be believed.
const FLAGS: [u8; 4] = [0xe0, 0, 0, 0];
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
    /// What only a router may say.
    Router,
    /// Something else.
    Other,
}

/// Reads an ICMPv6 message.
pub(crate) fn parse(message: &[u8]) -> Result<Message, Malformed> {
    match message.first() {
        None => Err(Malformed),
        Some(&SOLICITATION) => {
            let target: [u8; 16] =
                *message.get(8..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
            Ok(Message::Solicitation(target.into()))
        }
        Some(&(ROUTER_ADVERTISEMENT | REDIRECT)) => Ok(Message::Router),
        Some(_) => Ok(Message::Other),
    }
}

/// The frame by which the gateway says that it has `gateway`, to the card that asked from
/// `asker`; an unspecified asker only wants to know whether it may take the address, and all are
/// told.
pub(crate) fn gateway_answer(
    card: Mac,
    asker: Ipv6Addr,
    gateway: Ipv6Addr,
) -> [u8; PACKET + ip::V6_HEADER + LEN] {
    let to =
        if asker.is_unspecified() { Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) } else { asker };
    let mut frame = [0; PACKET + ip::V6_HEADER + LEN];
    address(&mut frame, card, TYPE_IPV6);
    let packet = &mut frame[PACKET..];
    ip::write_header(packet, gateway.into(), to.into(), ip::ICMPV6);
    packet[7] = HOP_LIMIT;
    let message = [ADVERTISEMENT, 0, 0, 0]
        .into_iter()
        .chain(FLAGS)
        .chain(gateway.octets())
        .chain(TARGET_ADDRESS)
        .chain(GATEWAY_MAC.0);
    packet.iter_mut().skip(ip::V6_HEADER).zip(message).for_each(|(to, from)| *to = from);
    let pseudo = checksum::pseudo_header(gateway.into(), to.into(), ip::ICMPV6, LEN);
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

    #[test]
    fn answer_is_a_whole_advertisement() {
        let asker: Ipv6Addr = "fd00::2".parse().unwrap();
        let gateway: Ipv6Addr = "fd00::1".parse().unwrap();
        let frame = gateway_answer(Mac([2, 0, 0, 0, 0, 1]), asker, gateway);
        let packet = Packet::parse_v6(&frame[PACKET..]).unwrap();
        assert_eq!((packet.source, packet.destination), (gateway.into(), asker.into()));
        let message = &frame[PACKET..][packet.payload];
        assert_eq!((message[0], message[26..].to_vec()), (136, GATEWAY_MAC.0.to_vec()));
        let pseudo = checksum::pseudo_header(gateway.into(), asker.into(), ip::ICMPV6, LEN);
        assert_eq!(checksum::sum(pseudo, message), 0xffff);
    }

    #[test]
    fn messages_are_told_apart() {
        let mut message = [0; 24];
        message[0] = 135;
        message[23] = 1;
        assert_eq!(parse(&message), Ok(Message::Solicitation(Ipv6Addr::LOCALHOST)));
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
