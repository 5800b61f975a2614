//! Address resolution for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use super::{Malformed, PACKET, TYPE_ARP, address};
use crate::address::Mac;

/// Length of a packet.
const LEN: usize = 28;
/// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) is_request: bool,
    pub(crate) sender_mac: Mac,
    pub(crate) sender: Ipv4Addr,
    pub(crate) target: Ipv4Addr,
}

impl Arp {
    /// Reads a packet.
    pub(crate) fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; LEN] = packet.first_chunk().ok_or(Malformed)?;
        let (spaces, rest) = bytes.split_first_chunk::<6>().ok_or(Malformed)?;
        let (operation, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        let (sender_mac, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        let sender: [u8; 4] = *rest.first_chunk().ok_or(Malformed)?;
        let target: [u8; 4] = *rest.last_chunk().ok_or(Malformed)?;
        let operation = u16::from_be_bytes(*operation);
        if *spaces != ETHERNET_IPV4 || !matches!(operation, REQUEST | REPLY) {
            return Err(Malformed);
        }
        Ok(Self {
            is_request: operation == REQUEST,
            sender_mac: Mac(*sender_mac),
            sender: sender.into(),
            target: target.into(),
        })
    }

    /// The frame that answers a request: the address asked for is `owner`'s.
    pub(crate) fn answer(self, owner: Mac) -> [u8; PACKET + LEN] {
        let mut frame = [0; PACKET + LEN];
        address(&mut frame, self.sender_mac, TYPE_ARP);
        let all = ETHERNET_IPV4
            .into_iter()
            .chain(REPLY.to_be_bytes())
            .chain(owner.0)
            .chain(self.target.octets())
            .chain(self.sender_mac.0)
            .chain(self.sender.octets());
        frame.iter_mut().skip(PACKET).zip(all).for_each(|(to, from)| *to = from);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::GATEWAY_MAC;

    const CARD: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn answer_tells_the_owners_address_to_the_asker() {
        let request = Arp {
            is_request: true,
            sender_mac: CARD,
            sender: Ipv4Addr::new(10, 0, 0, 2),
            target: Ipv4Addr::new(10, 0, 0, 1),
        };
        let frame = request.answer(GATEWAY_MAC);
        assert_eq!(frame[12..18], CARD.0);
        let answer = Arp::parse(&frame[PACKET..]).unwrap();
        assert!(!answer.is_request);
        assert_eq!((answer.sender_mac, answer.sender), (GATEWAY_MAC, request.target));
        assert_eq!(answer.target, request.sender);
    }

    #[test]
    fn other_spaces_and_operations_are_refused() {
        let request = Arp {
            is_request: true,
            sender_mac: CARD,
            sender: Ipv4Addr::LOCALHOST,
            target: Ipv4Addr::LOCALHOST,
        };
        let packet = request.answer(GATEWAY_MAC)[PACKET..].to_vec();
        assert_eq!(Arp::parse(&packet[..27]), Err(Malformed));
        for (at, value) in [(1, 6), (4, 8), (7, 3)] {
            let mut packet = packet.clone();
            packet[at] = value;
            assert_eq!(Arp::parse(&packet), Err(Malformed));
        }
    }
}
