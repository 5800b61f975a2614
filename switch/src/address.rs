//! Addresses as the control protocol writes them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// Not six bytes in hexadecimal.
    #[error("{0:?} is no Ethernet address")]
    Mac(String),
    /// Not an address and the length of a prefix.
    #[error("{0:?} is no range of addresses, such as 172.18.0.0/16")]
    Cidr(String),
}

/// An Ethernet address, written `02:42:ac:12:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it is the address of a single card.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let wrong = || ParseAddressError::Mac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = ParseAddressError;

    fn try_from(text: String) -> Result<Self, ParseAddressError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// A range of addresses, written `172.18.0.0/16`. The address may have bits beyond the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// A range, unless the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// The address as it was given.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Bits that all addresses of the range have in common.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` is in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix);
                let differing = own.to_bits() ^ other.to_bits();
                differing.checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix);
                let differing = own.to_bits() ^ other.to_bits();
                differing.checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            Self::new(address.parse().ok()?, prefix.parse().ok()?)
        };
        parse().ok_or_else(|| ParseAddressError::Cidr(text.to_owned()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = ParseAddressError;

    fn try_from(text: String) -> Result<Self, ParseAddressError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_is_read_as_it_is_written() {
        let mac: Mac = "02:42:AC:12:00:02".parse().unwrap();
        assert_eq!(mac, Mac([2, 0x42, 0xac, 0x12, 0, 2]));
        assert_eq!(mac.to_string(), "02:42:ac:12:00:02");
    }

    #[test]
    fn text_that_is_no_mac_is_refused() {
        for text in ["", "02:42:ac:12:00", "02:42:ac:12:00:02:03", "2:42:ac:12:0:2", "0g:0:0:0:0:0"]
        {
            assert_eq!(text.parse::<Mac>(), Err(ParseAddressError::Mac(text.into())));
        }
    }

    #[test]
    fn range_holds_what_shares_its_prefix() {
        let range: Cidr = "172.18.0.1/16".parse().unwrap();
        assert!(range.contains("172.18.255.255".parse().unwrap()));
        assert!(!range.contains("172.19.0.0".parse().unwrap()));
        let range: Cidr = "fd00:1::/64".parse().unwrap();
        assert!(range.contains("fd00:1::ffff:1".parse().unwrap()));
        assert!(!range.contains("fd00:1:0:1::".parse().unwrap()));
        assert!(!range.contains("172.18.0.1".parse().unwrap()));
    }

    #[test]
    fn range_of_everything_holds_everything_of_its_family() {
        let range: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(range.contains("255.255.255.255".parse().unwrap()));
        assert!(!range.contains("::".parse().unwrap()));
    }

    #[test]
    fn prefix_longer_than_the_address_is_refused() {
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
        assert!("fd00::/129".parse::<Cidr>().is_err());
        assert!("10.0.0.0".parse::<Cidr>().is_err());
    }
}
