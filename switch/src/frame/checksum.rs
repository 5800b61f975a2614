//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// The sum of 16-bit words, folded, not complemented. An odd byte at the end counts as the high one.
pub(crate) fn sum(mut total: u32, bytes: &[u8]) -> u32 {
    // Eight bytes at a time, with the carries kept: the sum is the same in any width.
    let (words, rest) = bytes.as_chunks::<4>();
    let wide: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    total = fold64(u64::from(total) + wide);
    let (pairs, odd) = rest.as_chunks::<2>();
    for pair in pairs {
        total += u32::from(u16::from_be_bytes(*pair));
    }
    if let [last] = odd {
        total += u32::from(*last) << 8;
    }
    fold(total)
}

fn fold64(mut total: u64) -> u32 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

fn fold(mut total: u32) -> u32 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total
}

/// A checksum's value on the wire.
pub(crate) fn finish(total: u32) -> [u8; 2] {
    (!(fold(total) as u16)).to_be_bytes()
}

/// The sum of what stands for the IP header in checksums of what it carries (RFC 9293, 3.1; RFC
/// 8200, 8.1).
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> u32 {
    let mut total = u32::from(protocol) + (len as u32 & 0xffff) + (len as u32 >> 16);
    for address in [source, destination] {
        total = match address {
            IpAddr::V4(address) => sum(total, &address.octets()),
            IpAddr::V6(address) => sum(total, &address.octets()),
        };
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_the_rfc_sums_up() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(0, &bytes), 0xddf2);
        assert_eq!(sum(0, &bytes[..7]), sum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0]));
    }

    #[test]
    fn header_with_its_checksum_sums_to_all_ones() {
        let mut header = [0x45, 0, 0, 20, 1, 2, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let value = finish(sum(0, &header));
        header[10..12].copy_from_slice(&value);
        assert_eq!(sum(0, &header), 0xffff);
    }
}
