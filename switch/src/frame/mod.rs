//! Ethernet frames: what is in those from cards, and how those to cards are made.
//!
//! All of it comes from guests. Everything is checked against the bytes that there are, and nothing
//! is looked at twice where it could differ.

pub(crate) mod arp;
pub(crate) mod checksum;
pub(crate) mod datagram;
pub(crate) mod echo;
pub(crate) mod header;
pub(crate) mod ip;
pub(crate) mod neighbor;

use crate::address::Mac;

/// Length of the virtio-net header in front of each frame (VIRTIO 1.3, 5.1.6).
pub(crate) const VIRTIO: usize = 12;
/// Length of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
/// Where an IP packet begins in what cards send.
pub(crate) const PACKET: usize = VIRTIO + ETHERNET;
/// The longest that a card may send: both headers and 65,536 bytes.
pub(crate) const LONGEST: usize = PACKET + 65_536;

/// Ethernet types.
pub(crate) const TYPE_IPV4: u16 = 0x0800;
pub(crate) const TYPE_ARP: u16 = 0x0806;
pub(crate) const TYPE_IPV6: u16 = 0x86dd;

/// The gateway's Ethernet address, locally administered, the same on all networks.
pub(crate) const GATEWAY_MAC: Mac = Mac([0x06, 0x01, 0x23, 0x45, 0x67, 0x02]);

/// A frame that breaks the rules of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// An Ethernet header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ethernet {
    pub(crate) destination: Mac,
    pub(crate) source: Mac,
    pub(crate) kind: u16,
}

impl Ethernet {
    /// Reads the header of a frame (without its virtio header).
    pub(crate) fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        let (destination, rest) = frame.split_first_chunk().ok_or(Malformed)?;
        let (source, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        let kind = rest.first_chunk().ok_or(Malformed)?;
        Ok(Self {
            destination: Mac(*destination),
            source: Mac(*source),
            kind: u16::from_be_bytes(*kind),
        })
    }

    /// The header's bytes.
    pub(crate) fn bytes(self) -> [u8; ETHERNET] {
        let mut bytes = [0; ETHERNET];
        let all =
            self.destination.0.into_iter().chain(self.source.0).chain(self.kind.to_be_bytes());
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bytes
    }
}

/// Puts a virtio header without wishes and an Ethernet header in front of a packet for `card`,
/// for which there is room.
pub(crate) fn address(frame: &mut [u8], card: Mac, kind: u16) {
    let ethernet = Ethernet { destination: card, source: GATEWAY_MAC, kind };
    if let Some((virtio, rest)) = frame.split_first_chunk_mut::<VIRTIO>() {
        *virtio = [0; VIRTIO];
        if let Some(place) = rest.first_chunk_mut() {
            *place = ethernet.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_header_survives_its_bytes() {
        let header = Ethernet { destination: Mac([1; 6]), source: GATEWAY_MAC, kind: TYPE_ARP };
        assert_eq!(Ethernet::parse(&header.bytes()), Ok(header));
        assert_eq!(Ethernet::parse(&header.bytes()[..13]), Err(Malformed));
    }
}
