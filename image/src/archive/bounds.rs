//! How much an archive may ask for around its layers, which have limits of their own.

use std::cell::Cell;
use std::io::{self, Read};

use crate::layer::Limits;

/// Bytes of headers before a file: of long names and extended attributes.
const MAX_HEADERS: u64 = 4 << 20;

/// Counts what is read.
pub(super) struct Counted<'c, R> {
    pub(super) source: R,
    pub(super) count: &'c Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(bytes)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// An archive without its packing, which may not grow more than a layer may, and of which nothing
/// is read but what was foreseen: whoever reads an archive keeps headers in memory.
pub(super) struct Bounded<'c, R> {
    source: R,
    packed: &'c Cell<u64>,
    foreseen: &'c Cell<u64>,
    position: u64,
    /// Bytes from which on it counts how much it grows, and how much it may.
    ratio: (u64, u64),
}

impl<'c, R: Read> Bounded<'c, R> {
    /// What `source` makes of `packed` bytes, as far as `foreseen`.
    pub(super) fn new(source: R, packed: &'c Cell<u64>, foreseen: &'c Cell<u64>) -> Self {
        foreseen.set(MAX_HEADERS);
        let ratio = (Limits::RATIO_FROM, Limits::default().ratio);
        Self { source, packed, foreseen, position: 0, ratio }
    }
}

/// The place up to which an archive may be read once it is at a file of so many bytes.
pub(super) fn after(start: u64, size: u64) -> u64 {
    start.saturating_add(size).saturating_add(MAX_HEADERS)
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.foreseen.get().saturating_sub(self.position);
        if left == 0 {
            let why = format!("what stands before a file has more than {MAX_HEADERS} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let most = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.source.read(bytes.get_mut(..most).unwrap_or_default())?;
        self.position += count as u64;
        let (from, ratio) = self.ratio;
        if self.position > from && self.position > self.packed.get().max(1).saturating_mul(ratio) {
            let why = format!("it unpacks to more than {ratio} times its size");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_too_much_is_refused() {
        let (packed, foreseen) = (Cell::new(10), Cell::new(0));
        let read = |length: u64, ratio| {
            let mut bounded = Bounded::new(io::repeat(0).take(length), &packed, &foreseen);
            bounded.ratio = ratio;
            io::copy(&mut bounded, &mut io::sink()).map_err(|error| error.to_string())
        };
        assert_eq!(read(1_000, (100, 100)), Ok(1_000));
        let refused = Err("it unpacks to more than 100 times its size".to_owned());
        assert_eq!(read(1_001, (100, 100)), refused);
        assert_eq!(read(5_000, (5_000, 100)), Ok(5_000));
    }
}
