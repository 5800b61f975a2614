//! Files that get no longer than they may: what came last is worth more than what came first.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::ftruncate;
use rustix::io::{pread, write};

/// The most that is kept of a file that is full.
const KEPT: u64 = 1 << 20;

/// The length of a file that is appended to, and the most that it may be.
#[derive(Debug)]
pub(super) struct Bound {
    limit: u64,
    length: Cell<u64>,
}

impl Bound {
    /// Of a file that has `length` bytes already.
    pub(super) fn new(limit: u64, length: i64) -> Self {
        Self { limit, length: Cell::new(length.try_into().unwrap_or_default()) }
    }

    /// Appends `data`, of which there is less than half of what the file may have. Where that would
    /// make it too long, only its last lines stay.
    pub(super) fn write(&self, file: impl AsFd, data: &[u8]) -> io::Result<usize> {
        let length = self.length.get();
        if length.saturating_add(data.len() as u64) > self.limit {
            self.shorten(&file, length)?;
        }
        let written = write(&file, data)?;
        self.length.set(self.length.get().saturating_add(written as u64));
        Ok(written)
    }

    fn shorten(&self, file: impl AsFd, length: u64) -> io::Result<()> {
        let half = (self.limit / 2).min(KEPT);
        let mut kept = vec![0; usize::try_from(half).unwrap_or_default()];
        // Where it cannot be read, all of it goes: a file of this length was said not to be.
        let read = pread(&file, &mut kept, length.saturating_sub(half)).unwrap_or_default();
        let kept = kept.get(..read).unwrap_or_default();
        let line = kept.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        ftruncate(&file, 0)?;
        self.length.set(0);
        let written = write(&file, kept.get(line..).unwrap_or_default())?;
        self.length.set(written as u64);
        Ok(())
    }
}
