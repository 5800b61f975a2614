//! Hardware addresses.

/// A hardware address of Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mac([u8; 6]);

impl Mac {
    /// Reads `aa:bb:cc:dd:ee:ff`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut pieces = text.split(':');
        for byte in &mut bytes {
            let piece = pieces.next().filter(|piece| piece.len() == 2)?;
            *byte = u8::from_str_radix(piece, 16).ok()?;
        }
        pieces.next().is_none().then_some(Self(bytes))
    }

    /// A name for a card of this address, which no other card has.
    pub(super) fn name(self) -> String {
        self.0.iter().fold("c".to_owned(), |name, byte| format!("{name}{byte:02x}"))
    }

    /// An address as the kernel gives it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_pairs_of_digits_are_an_address() {
        let mac = Mac::parse("02:00:5e:10:00:FF");
        assert_eq!(mac, Mac::from_bytes(&[2, 0, 0x5e, 0x10, 0, 0xff]));
        for wrong in ["", "02:00:5e:10:00", "02:00:5e:10:00:ff:00", "2:0:5e:10:0:f", "0g:0:0:0:0:0"]
        {
            assert_eq!(Mac::parse(wrong), None, "{wrong}");
        }
    }
}
