//! IPv4 (RFC 791) and IPv6 (RFC 8200) packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::Malformed;
use super::checksum;

/// Protocol numbers.
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

/// Extension headers of IPv6.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// More extension headers than anyone needs.
const MAX_EXTENSIONS: usize = 8;

/// Length of an IPv4 header without options.
pub(crate) const V4_HEADER: usize = 20;
/// Length of an IPv6 header.
pub(crate) const V6_HEADER: usize = 40;
/// How far packets of the switch may travel.
const HOPS: u8 = 64;

/// What a packet says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// What it carries, after extension headers.
    pub(crate) protocol: u8,
    /// Where that is in the packet.
    pub(crate) payload: Range<usize>,
    /// Whether it is only a part.
    pub(crate) fragment: bool,
}

impl Packet {
    /// Reads a packet. There may be padding after it.
    pub(crate) fn parse_v4(packet: &[u8]) -> Result<Self, Malformed> {
        let header: &[u8; V4_HEADER] = packet.first_chunk().ok_or(Malformed)?;
        let [first, _, l0, l1, _, _, f0, f1, _, protocol, _, _, addresses @ ..] = *header;
        let start = usize::from(first & 0xf) * 4;
        let end = usize::from(u16::from_be_bytes([l0, l1]));
        if first >> 4 != 4 || start < V4_HEADER || end < start || end > packet.len() {
            return Err(Malformed);
        }
        let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
        Ok(Self {
            source: Ipv4Addr::new(s0, s1, s2, s3).into(),
            destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
            protocol,
            payload: start..end,
            fragment: u16::from_be_bytes([f0, f1]) & 0x3fff != 0,
        })
    }

    /// Reads a packet. There may be padding after it.
    pub(crate) fn parse_v6(packet: &[u8]) -> Result<Self, Malformed> {
        let (header, _) = packet.split_first_chunk::<V6_HEADER>().ok_or(Malformed)?;
        let [first, _, _, _, l0, l1, next, _, addresses @ ..] = *header;
        let end = V6_HEADER + usize::from(u16::from_be_bytes([l0, l1]));
        if first >> 4 != 6 || end > packet.len() {
            return Err(Malformed);
        }
        let source: [u8; 16] = *addresses.first_chunk().ok_or(Malformed)?;
        let destination: [u8; 16] = *addresses.last_chunk().ok_or(Malformed)?;
        let mut parsed = Self {
            source: Ipv6Addr::from(source).into(),
            destination: Ipv6Addr::from(destination).into(),
            protocol: next,
            payload: V6_HEADER..end,
            fragment: false,
        };
        parsed.skip_extensions(packet)?;
        Ok(parsed)
    }

    fn skip_extensions(&mut self, packet: &[u8]) -> Result<(), Malformed> {
        for _ in 0..MAX_EXTENSIONS {
            let fixed = match self.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION => false,
                FRAGMENT => true,
                _ => return Ok(()),
            };
            let rest = packet.get(self.payload.clone()).ok_or(Malformed)?;
            let [next, len, ..] = *rest else { return Err(Malformed) };
            let len = if fixed { 8 } else { (usize::from(len) + 1) * 8 };
            if len > rest.len() {
                return Err(Malformed);
            }
            self.fragment |= fixed;
            self.protocol = next;
            self.payload.start += len;
        }
        Err(Malformed)
    }
}

/// Length of the header that goes with an address.
pub(crate) fn header_len(address: IpAddr) -> usize {
    if address.is_ipv4() { V4_HEADER } else { V6_HEADER }
}

/// Writes a header to the beginning of `packet`, the rest of which is what it carries. Addresses of
/// two families make none.
pub(crate) fn write_header(packet: &mut [u8], source: IpAddr, destination: IpAddr, protocol: u8) {
    let len = packet.len();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let Some(header) = packet.first_chunk_mut::<V4_HEADER>() else { return };
            // Don't Fragment: nothing between here and the card could.
            let fixed = [0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, protocol, 0, 0];
            let all = fixed.into_iter().chain(source.octets()).chain(destination.octets());
            header.iter_mut().zip(all).for_each(|(to, from)| *to = from);
            [header[2], header[3]] = (len as u16).to_be_bytes();
            let sum = checksum::finish(checksum::sum(0, header));
            [header[10], header[11]] = sum;
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let Some(header) = packet.first_chunk_mut::<V6_HEADER>() else { return };
            let [l0, l1] = ((len - V6_HEADER) as u16).to_be_bytes();
            let fixed = [0x60, 0, 0, 0, l0, l1, protocol, HOPS];
            let all = fixed.into_iter().chain(source.octets()).chain(destination.octets());
            header.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> Vec<u8> {
        let mut packet = vec![0xee; 28];
        write_header(&mut packet, [10, 0, 0, 2].into(), [10, 0, 0, 1].into(), UDP);
        packet
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = [&[0; V6_HEADER], payload].concat();
        let (source, destination) = ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap());
        write_header(&mut packet, source, destination, next);
        packet
    }

    #[test]
    fn written_header_is_read_back() {
        let parsed = Packet::parse_v4(&v4()).unwrap();
        assert_eq!(parsed.source.to_string(), "10.0.0.2");
        assert_eq!(parsed.destination.to_string(), "10.0.0.1");
        assert_eq!((parsed.protocol, parsed.payload, parsed.fragment), (UDP, 20..28, false));
        let parsed = Packet::parse_v6(&v6(TCP, &[0; 8])).unwrap();
        assert_eq!(parsed.source.to_string(), "fd00::2");
        assert_eq!((parsed.protocol, parsed.payload), (TCP, 40..48));
    }

    #[test]
    fn padding_is_not_part_of_the_packet() {
        let padded = [v4(), vec![0; 18]].concat();
        assert_eq!(Packet::parse_v4(&padded).unwrap().payload, 20..28);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for (at, value) in [(0, 0x44), (0, 0x65), (0, 0x4f), (3, 19), (3, 29), (2, 0xff)] {
            let mut packet = v4();
            packet[at] = value;
            assert_eq!(Packet::parse_v4(&packet), Err(Malformed), "byte {at} = {value:#x}");
        }
        assert_eq!(Packet::parse_v4(&v4()[..19]), Err(Malformed));
        let mut packet = v6(TCP, &[0; 8]);
        packet[5] = 9;
        assert_eq!(Packet::parse_v6(&packet), Err(Malformed));
        assert_eq!(Packet::parse_v6(&packet[..39]), Err(Malformed));
    }

    #[test]
    fn part_of_a_packet_is_told() {
        let mut packet = v4();
        packet[6] = 0x20;
        assert!(Packet::parse_v4(&packet).unwrap().fragment);
        let parsed = Packet::parse_v6(&v6(FRAGMENT, &[UDP, 0, 0, 0, 0, 0, 0, 0, 1, 2])).unwrap();
        assert_eq!((parsed.fragment, parsed.protocol, parsed.payload), (true, UDP, 48..50));
    }

    #[test]
    fn extension_headers_are_passed_over() {
        let parsed =
            Packet::parse_v6(&v6(0, &[60, 0, 0, 0, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0, 0, 9]));
        let parsed = parsed.unwrap();
        assert_eq!((parsed.protocol, parsed.payload), (ICMPV6, 56..57));
    }

    #[test]
    fn extension_headers_without_end_are_refused() {
        assert_eq!(Packet::parse_v6(&v6(0, &[0; 128])), Err(Malformed));
        assert_eq!(Packet::parse_v6(&v6(0, &[6, 1, 0, 0, 0, 0, 0, 0])), Err(Malformed));
    }
}
