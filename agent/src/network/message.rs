//! Netlink messages: a header, a structure of the request's, attributes.

/// Lengths of `struct nlmsghdr` and of an attribute's header, and the unit that both are aligned
/// to (netlink(7)).
const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
const ALIGN: usize = 4;

/// A request being written.
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of `kind` with its structure.
    pub(super) fn new(kind: u16, flags: u16, sequence: u32, structure: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(structure);
        Self { bytes }
    }

    /// Adds an attribute.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        // Names and addresses; nothing here is long.
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        self
    }

    /// The whole, with its length.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(0);
        if let Some(header) = self.bytes.first_chunk_mut() {
            *header = length.to_ne_bytes();
        }
        self.bytes
    }
}

/// One message of an answer.
pub(super) struct Received<'a> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

/// The messages of a datagram.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(word(bytes, 0)?).ok()?;
        let message = bytes.get(..length).filter(|_| length >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(Received {
            kind: half(message, 4)?,
            sequence: word(message, 8)?,
            body: message.get(HEADER..)?,
        })
    })
}

/// Kind and value of each attribute behind a structure of `structure` bytes.
pub(super) fn attributes(body: &[u8], structure: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = body.get(structure..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)?;
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The 32 bits at an offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes =
            Message::new(7, 1, 3, &[9; 8]).attribute(4, b"abcde").attribute(5, b"x").finish();
        bytes.extend(Message::new(8, 0, 3, &[]).finish());
        let read: Vec<_> = messages(&bytes).map(|m| (m.kind, m.sequence, m.body.len())).collect();
        assert_eq!(read, [(7, 3, 8 + 12 + 8), (8, 3, 0)]);
        let first = messages(&bytes).next().unwrap();
        let read: Vec<_> = attributes(first.body, 8).collect();
        assert_eq!(read, [(4, &b"abcde"[..]), (5, &b"x"[..])]);
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        assert_eq!(messages(&[0xff; 64]).count(), 0);
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0xff; 64], 8).count(), 0);
        assert_eq!(attributes(&[0; 64], 8).count(), 0);
    }
}
