//! Echo messages of ICMP (RFC 792) and ICMPv6 (RFC 4443).

use std::net::IpAddr;

use super::{PACKET, TYPE_IPV4, TYPE_IPV6, address, checksum, ip};
use crate::address::Mac;

/// Length of the header: type, code, checksum, identifier, sequence number.
pub(crate) const HEADER: usize = 8;

/// Type of a request, by family.
pub(crate) fn request_type(family: IpAddr) -> u8 {
    if family.is_ipv4() { 8 } else { 128 }
}

/// Type of a reply, by family.
pub(crate) fn reply_type(family: IpAddr) -> u8 {
    if family.is_ipv4() { 0 } else { 129 }
}

/// The identifier of a message of this type, if it is one.
pub(crate) fn identifier(message: &[u8], kind: u8) -> Option<u16> {
    let [found, 0, _, _, i0, i1, _, _] = *message.first_chunk()? else { return None };
    (found == kind).then(|| u16::from_be_bytes([i0, i1]))
}

/// Makes a reply of a message that begins at `payload_at(source)` of the frame and ends it: headers,
/// type, identifier and checksum; sequence number and data stay.
pub(crate) fn reply(
    frame: &mut [u8],
    card: Mac,
    source: IpAddr,
    destination: IpAddr,
    identifier: u16,
) {
    let kind = if source.is_ipv4() { TYPE_IPV4 } else { TYPE_IPV6 };
    address(frame, card, kind);
    let Some(packet) = frame.get_mut(PACKET..) else { return };
    let protocol = if source.is_ipv4() { ip::ICMP } else { ip::ICMPV6 };
    ip::write_header(packet, source, destination, protocol);
    let Some(message) = packet.get_mut(ip::header_len(source)..) else { return };
    let len = message.len();
    let Some(header) = message.first_chunk_mut::<HEADER>() else { return };
    let [i0, i1] = identifier.to_be_bytes();
    let fields = [reply_type(source), 0, 0, 0, i0, i1];
    header.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    let pseudo = if source.is_ipv4() {
        0
    } else {
        checksum::pseudo_header(source, destination, ip::ICMPV6, len)
    };
    let sum = checksum::finish(checksum::sum(pseudo, message));
    if let Some([_, _, c0, c1, ..]) = message.first_chunk_mut::<HEADER>() {
        [*c0, *c1] = sum;
    }
}

/// Where a message from `source` begins in a frame.
pub(crate) fn message_at(source: IpAddr) -> usize {
    PACKET + ip::header_len(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_keeps_sequence_number_and_data() {
        for (source, destination) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
            let (source, destination): (IpAddr, IpAddr) =
                (source.parse().unwrap(), destination.parse().unwrap());
            let at = message_at(source);
            let message = [request_type(source), 0, 1, 1, 0xaa, 0xbb, 0, 7, 1, 2, 3];
            let mut frame = [vec![0; at], message.to_vec()].concat();
            reply(&mut frame, Mac([2; 6]), source, destination, 0x1234);
            let answer = &frame[at..];
            assert_eq!(identifier(answer, reply_type(source)), Some(0x1234));
            assert_eq!(answer[6..], [0, 7, 1, 2, 3]);
            let pseudo = match source.is_ipv4() {
                true => 0,
                false => checksum::pseudo_header(source, destination, ip::ICMPV6, 11),
            };
            assert_eq!(checksum::sum(pseudo, answer), 0xffff);
        }
    }

    #[test]
    fn other_messages_have_no_identifier() {
        assert_eq!(identifier(&[8, 0, 0, 0, 0, 1, 0, 0], 8), Some(1));
        assert_eq!(identifier(&[8, 1, 0, 0, 0, 1, 0, 0], 8), None);
        assert_eq!(identifier(&[0, 0, 0, 0, 0, 1, 0, 0], 8), None);
        assert_eq!(identifier(&[8, 0, 0], 8), None);
    }
}
