//! Arithmetic with ranges of addresses of both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use switch::address::Cidr;

/// All addresses from `first` to `last` of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    ipv6: bool,
    first: u128,
    last: u128,
}

impl Range {
    /// The addresses of `cidr`.
    pub(super) fn of(cidr: Cidr) -> Self {
        let (ipv6, bits, length) = number(cidr.address());
        let host = length - u32::from(cidr.prefix());
        let mask = 1_u128.checked_shl(host).map_or(u128::MAX, |size| size - 1);
        Self { ipv6, first: bits & !mask, last: bits | mask }
    }

    /// The first address: the network's own.
    pub(super) fn first(self) -> IpAddr {
        self.address(self.first)
    }

    /// The address `offset` after the first, if it is in the range.
    pub(super) fn nth(self, offset: u128) -> Option<IpAddr> {
        let number = self.first.checked_add(offset).filter(|number| *number <= self.last)?;
        Some(self.address(number))
    }

    /// Whether both have an address in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.ipv6 == other.ipv6 && self.first <= other.last && other.first <= self.last
    }

    /// Whether all of `other` is in this.
    pub(super) fn holds(self, other: Self) -> bool {
        self.ipv6 == other.ipv6 && self.first <= other.first && other.last <= self.last
    }

    /// How many addresses there are, less one.
    pub(super) fn length(self) -> u128 {
        self.last - self.first
    }

    /// The number of steps from the first address to `address`.
    pub(super) fn offset(self, address: IpAddr) -> Option<u128> {
        let (ipv6, number, _) = number(address);
        let inside = ipv6 == self.ipv6 && (self.first..=self.last).contains(&number);
        inside.then(|| number - self.first)
    }

    fn address(self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(number) if !self.ipv6 => Ipv4Addr::from_bits(number).into(),
            _ => Ipv6Addr::from_bits(number).into(),
        }
    }
}

fn number(address: IpAddr) -> (bool, u128, u32) {
    match address {
        IpAddr::V4(address) => (false, u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (true, address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        Range::of(text.parse().unwrap())
    }

    #[test]
    fn bits_beyond_the_prefix_do_not_matter() {
        assert_eq!(range("172.18.7.9/16"), range("172.18.0.0/16"));
        assert_eq!(range("172.18.7.9/16").first(), "172.18.0.0".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn addresses_are_counted_from_the_first_and_end_with_the_last() {
        assert_eq!(range("10.0.0.0/30").nth(3), Some("10.0.0.3".parse().unwrap()));
        assert_eq!(range("10.0.0.0/30").nth(4), None);
        assert_eq!(range("fd00::/64").nth(2), Some("fd00::2".parse().unwrap()));
        assert_eq!(range("::/0").length(), u128::MAX);
        assert_eq!(range("10.0.0.0/8").offset("10.0.1.0".parse().unwrap()), Some(256));
        assert_eq!(range("10.0.0.0/8").offset("11.0.0.0".parse().unwrap()), None);
    }

    #[test]
    fn families_have_nothing_in_common() {
        assert!(range("172.16.0.0/12").overlaps(range("172.18.0.0/16")));
        assert!(!range("172.18.0.0/16").overlaps(range("172.19.0.0/16")));
        assert!(!range("0.0.0.0/0").overlaps(range("::/0")));
        assert!(range("172.16.0.0/12").holds(range("172.18.0.0/16")));
        assert!(!range("172.18.0.0/16").holds(range("172.16.0.0/12")));
    }
}
