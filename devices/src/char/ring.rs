//! The last bytes of a stream.

use std::collections::VecDeque;

/// Keeps the last bytes written, each with its position in the whole stream, so that readers at
/// different places can share it.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    capacity: usize,
    end: u64,
}

impl Ring {
    /// An empty ring that will hold `capacity` bytes. It takes memory only as it fills.
    pub(super) fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity, end: 0 }
    }

    /// How many bytes it can hold.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Position of the oldest byte kept.
    pub(super) fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// Position after the newest byte: the length of the stream so far.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Appends; the oldest bytes make room.
    pub(super) fn append(&mut self, data: &[u8]) {
        self.end += data.len() as u64;
        let kept = &data[data.len().saturating_sub(self.capacity)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(self.capacity);
        self.bytes.drain(..excess);
        self.bytes.extend(kept);
    }

    /// Copies bytes from `position` on into `data`; returns how many there were.
    /// `position` must lie between [`start`](Self::start) and [`end`](Self::end).
    pub(super) fn read(&self, position: u64, data: &mut [u8]) -> usize {
        let skip = usize::try_from(position - self.start()).unwrap_or(usize::MAX);
        let (front, back) = self.bytes.as_slices();
        let parts = match front.get(skip..) {
            Some(front) => [front, back],
            None => [back.get(skip - front.len()..).unwrap_or_default(), &[]],
        };
        let mut done = 0;
        for part in parts {
            let len = part.len().min(data.len() - done);
            data[done..done + len].copy_from_slice(&part[..len]);
            done += len;
        }
        done
    }

    /// Copies the last `len` bytes, or all that are kept.
    pub(super) fn tail(&self, len: usize) -> Vec<u8> {
        self.bytes.range(self.bytes.len().saturating_sub(len)..).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ring: &Ring, position: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        let n = ring.read(position, &mut data);
        data.truncate(n);
        data
    }

    #[test]
    fn oldest_bytes_make_room_for_new_ones() {
        let mut ring = Ring::new(4);
        ring.append(b"abc");
        ring.append(b"def");
        assert_eq!((ring.start(), ring.end()), (2, 6));
        assert_eq!(read(&ring, 2, 10), b"cdef");
        assert_eq!(ring.tail(2), b"ef");
    }

    #[test]
    fn write_larger_than_the_ring_keeps_its_end() {
        let mut ring = Ring::new(4);
        ring.append(b"ab");
        ring.append(b"0123456789");
        assert_eq!((ring.start(), ring.end()), (8, 12));
        assert_eq!(ring.tail(100), b"6789");
    }

    #[test]
    fn reading_starts_anywhere_and_crosses_the_wrap() {
        let mut ring = Ring::new(8);
        for chunk in [&b"abcdef"[..], b"ghijk", b"lmn"] {
            ring.append(chunk);
        }
        assert_eq!(read(&ring, 6, 8), b"ghijklmn");
        assert_eq!(read(&ring, 9, 3), b"jkl");
        assert_eq!(read(&ring, 14, 3), b"");
    }
}
