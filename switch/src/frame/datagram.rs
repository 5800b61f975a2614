//! UDP (RFC 768).

use std::net::SocketAddr;
use std::ops::Range;

use super::header::{self, Partial};
use super::{ETHERNET, Malformed, PACKET, TYPE_IPV4, TYPE_IPV6, address, checksum, ip};
use crate::address::Mac;

/// Length of the header.
pub(crate) const HEADER: usize = 8;
/// Where the checksum is.
const CHECKSUM: u16 = 6;
/// The longest payload that fits a packet of the largest MTU.
pub(crate) const MAX_PAYLOAD: usize = 65_520 - ip::V6_HEADER - HEADER;

/// A datagram's ports and where its payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) payload: Range<usize>,
}

impl Datagram {
    /// Reads what an IP packet carries.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let [s0, s1, d0, d1, l0, l1, _, _] = *bytes.first_chunk().ok_or(Malformed)?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if !(HEADER..=bytes.len()).contains(&len) {
            return Err(Malformed);
        }
        Ok(Self {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            payload: HEADER..len,
        })
    }
}

/// Where the payload of a datagram from `source` begins in a frame.
pub(crate) fn payload_at(source: SocketAddr) -> usize {
    PACKET + ip::header_len(source.ip()) + HEADER
}

/// Puts all headers in front of the payload, which is in its place already: `frame` ends with it.
pub(crate) fn wrap(frame: &mut [u8], card: Mac, source: SocketAddr, destination: SocketAddr) {
    let kind = if source.is_ipv4() { TYPE_IPV4 } else { TYPE_IPV6 };
    address(frame, card, kind);
    let header_len = ip::header_len(source.ip());
    let Some(packet) = frame.get_mut(PACKET..) else { return };
    ip::write_header(packet, source.ip(), destination.ip(), ip::UDP);
    let Some(datagram) = packet.get_mut(header_len..) else { return };
    let len = datagram.len();
    let Some(udp) = datagram.first_chunk_mut::<HEADER>() else { return };
    let pseudo = checksum::pseudo_header(source.ip(), destination.ip(), ip::UDP, len);
    let fields = [source.port(), destination.port(), len as u16, pseudo as u16];
    let all = fields.into_iter().flat_map(u16::to_be_bytes);
    udp.iter_mut().zip(all).for_each(|(to, from)| *to = from);
    let start = (ETHERNET + header_len) as u16;
    header::ask(frame, Partial { start, offset: CHECKSUM });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_payload_is_found_and_its_checksum_holds() {
        for (source, destination) in
            [("10.0.0.1:53", "10.0.0.2:999"), ("[fd00::1]:53", "[fd00::2]:999")]
        {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let at = payload_at(source);
            let mut frame = [vec![0; at], b"hello".to_vec()].concat();
            wrap(&mut frame, Mac([2; 6]), source, destination);
            header::complete(&mut frame);
            let bytes = &frame[at - HEADER..];
            let datagram = Datagram::parse(bytes).unwrap();
            assert_eq!((datagram.source, datagram.destination), (53, 999));
            assert_eq!(&bytes[datagram.payload], b"hello");
            let pseudo = checksum::pseudo_header(source.ip(), destination.ip(), ip::UDP, 13);
            assert_eq!(checksum::sum(pseudo, bytes), 0xffff);
        }
    }

    #[test]
    fn length_that_lies_is_refused() {
        assert!(Datagram::parse(&[0, 1, 0, 2, 0, 8, 0, 0]).is_ok());
        assert_eq!(Datagram::parse(&[0, 1, 0, 2, 0, 9, 0, 0]), Err(Malformed));
        assert_eq!(Datagram::parse(&[0, 1, 0, 2, 0, 7, 0, 0]), Err(Malformed));
        assert_eq!(Datagram::parse(&[0; 7]), Err(Malformed));
    }
}
