//! The virtio-net header between card and switch: only checksums may be left to the other side.

use super::checksum;
use super::{Malformed, VIRTIO};

/// The checksum is partial: to be completed.
const NEEDS_CHECKSUM: u8 = 1;

/// The offset of each field (VIRTIO 1.3, 5.1.6).
const FLAGS: usize = 0;
const SEGMENTATION: usize = 1;
const CHECKSUM_START: usize = 6;
const CHECKSUM_OFFSET: usize = 8;

/// A checksum that is still to be completed, in bytes from the Ethernet header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partial {
    /// What it covers begins here, and goes to the end.
    pub(crate) start: u16,
    /// Where it goes, from there.
    pub(crate) offset: u16,
}

/// Judges a card's header, and leaves nothing in it but a checksum's place inside the frame.
pub(crate) fn cleanse(frame: &mut [u8]) -> Result<Option<Partial>, Malformed> {
    let len = frame.len();
    let header = frame.first_chunk_mut::<VIRTIO>().ok_or(Malformed)?;
    if header[SEGMENTATION] != 0 {
        // Not offered.
        return Err(Malformed);
    }
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let partial = Partial { start: field(CHECKSUM_START), offset: field(CHECKSUM_OFFSET) };
    let wanted = header[FLAGS] & NEEDS_CHECKSUM != 0;
    *header = [0; VIRTIO];
    if !wanted {
        return Ok(None);
    }
    let end = VIRTIO + usize::from(partial.start) + usize::from(partial.offset) + 2;
    if end > len {
        return Err(Malformed);
    }
    ask(frame, partial);
    Ok(Some(partial))
}

/// Asks the receiver to complete a checksum.
pub(crate) fn ask(frame: &mut [u8], partial: Partial) {
    let Some(header) = frame.first_chunk_mut::<VIRTIO>() else { return };
    header[FLAGS] = NEEDS_CHECKSUM;
    [header[CHECKSUM_START], header[CHECKSUM_START + 1]] = partial.start.to_le_bytes();
    [header[CHECKSUM_OFFSET], header[CHECKSUM_OFFSET + 1]] = partial.offset.to_le_bytes();
}

/// What the header asks for.
pub(crate) fn asked(frame: &[u8]) -> Option<Partial> {
    let header = frame.first_chunk::<VIRTIO>()?;
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    (header[FLAGS] & NEEDS_CHECKSUM != 0)
        .then(|| Partial { start: field(CHECKSUM_START), offset: field(CHECKSUM_OFFSET) })
}

/// Completes a partial checksum, for a receiver that does not.
pub(crate) fn complete(frame: &mut [u8]) {
    let Some(partial) = asked(frame) else { return };
    let start = VIRTIO + usize::from(partial.start);
    let at = start + usize::from(partial.offset);
    // The field holds the sum of the pseudo header.
    let total = checksum::sum(0, frame.get(start..).unwrap_or_default());
    let value = match checksum::finish(total) {
        // Zero would mean that there is none, in UDP.
        [0, 0] => [0xff, 0xff],
        value => value,
    };
    if let Some(place) = frame.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = value;
    }
    if let Some(header) = frame.first_chunk_mut::<VIRTIO>() {
        *header = [0; VIRTIO];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(flags: u8, segmentation: u8, start: u8, offset: u8) -> Vec<u8> {
        let mut frame = vec![flags, segmentation, 1, 2, 3, 4, start, 0, offset, 0, 9, 9];
        frame.resize(VIRTIO + 60, 0xaa);
        frame
    }

    #[test]
    fn only_the_place_of_the_checksum_is_left_in_the_header() {
        let mut all = frame(0xff, 0, 34, 16);
        assert_eq!(cleanse(&mut all), Ok(Some(Partial { start: 34, offset: 16 })));
        assert_eq!(all[..VIRTIO], [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0]);
        let mut none = frame(2, 0, 34, 16);
        assert_eq!(cleanse(&mut none), Ok(None));
        assert_eq!(none[..VIRTIO], [0; VIRTIO]);
    }

    #[test]
    fn checksum_past_the_end_is_refused() {
        assert!(cleanse(&mut frame(1, 0, 42, 16)).is_ok());
        assert_eq!(cleanse(&mut frame(1, 0, 43, 16)), Err(Malformed));
        assert_eq!(cleanse(&mut frame(1, 0, 255, 255)), Err(Malformed));
    }

    #[test]
    fn trains_of_segments_are_refused() {
        assert_eq!(cleanse(&mut frame(1, 1, 34, 16)), Err(Malformed));
    }

    #[test]
    fn completed_checksum_covers_the_rest_of_the_frame() {
        let mut frame = frame(1, 0, 14, 4);
        complete(&mut frame);
        assert_eq!(frame[..VIRTIO], [0; VIRTIO]);
        let covered = &frame[VIRTIO + 14..];
        // The field held 0xaaaa as the pseudo header's sum.
        assert_eq!(checksum::sum(0xaaaa, covered), 0xffff);
    }
}
