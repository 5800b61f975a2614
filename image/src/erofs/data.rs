//! The contents of regular files, written to their place as they come.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::layout::{BLOCK, Inode};

/// Pieces of this length and longer are written by themselves; shorter ones are gathered.
const DIRECT: usize = 64 << 10;
/// Bytes that are gathered before they are written.
const GATHERED: usize = 256 << 10;
/// What does not fill a file's last block goes behind its inode up to this length.
const MAX_TAIL: u64 = 2048;
/// Most chunks of a file: a sparse file's holes are as fine as this permits.
const MAX_CHUNKS: u64 = 1 << 14;

/// Where a regular file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    /// In blocks from `block` on, and the rest in `tail`.
    Plain { size: u64, block: u32, tail: Box<[u8]> },
    /// In chunks of `1 << bits` blocks; what is in no run is a hole.
    Chunks { size: u64, bits: u8, runs: Vec<Run> },
}

impl Contents {
    /// Length of the file.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Plain { size, .. } | Self::Chunks { size, .. } => *size,
        }
    }

    /// Bytes of the map of chunks.
    pub(crate) fn map_len(&self) -> u64 {
        match self {
            Self::Plain { .. } => 0,
            Self::Chunks { size, bits, .. } => 4 * size.div_ceil(BLOCK << bits),
        }
    }
}

/// Chunks of a file that lie one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first of them.
    pub(super) chunk: u64,
    /// How many they are.
    pub(super) count: u64,
    /// Block of the first.
    pub(super) block: u32,
}

/// The part of an image that holds the contents of files. It grows while they come.
#[derive(Debug)]
pub(crate) struct DataArea<'a> {
    out: &'a File,
    /// The next free byte, a multiple of a block.
    end: u64,
    gathered: Vec<u8>,
    gathered_at: u64,
    /// Bytes that may still be kept in memory for their inodes.
    tail_budget: u64,
}

impl<'a> DataArea<'a> {
    /// An area in `out`, which is empty, behind the block of the super block.
    pub(super) fn new(out: &'a File, tail_budget: u64) -> Self {
        let gathered = Vec::with_capacity(GATHERED);
        Self { out, end: BLOCK, gathered, gathered_at: 0, tail_budget }
    }

    /// Begins a file of `size` bytes, all of which will come. `xattrs` bytes of extended
    /// attributes share the inode's block.
    pub(crate) fn file(&mut self, size: u64, xattrs: u64) -> io::Result<FileWriter<'_, 'a>> {
        let tail = size % BLOCK;
        let inline = tail <= MAX_TAIL.min(self.tail_budget) && Inode::SIZE + xattrs + tail <= BLOCK;
        let tail = if inline { tail } else { 0 };
        self.tail_budget -= tail;
        let start = self.end;
        self.end = self.reserve(size - tail)?;
        let shape = Shape::Plain { block: block(start)?, tail: Vec::new() };
        Ok(FileWriter { area: self, size, position: 0, in_blocks: size - tail, start, shape })
    }

    /// Begins a file of `size` bytes of which only some will come.
    pub(crate) fn sparse_file(&mut self, size: u64) -> io::Result<FileWriter<'_, 'a>> {
        let blocks = size.div_ceil(BLOCK);
        let mut bits = 0;
        while blocks.div_ceil(1 << bits) > MAX_CHUNKS {
            bits += 1;
        }
        let start = self.end;
        let shape = Shape::Chunks { bits, runs: Vec::new() };
        Ok(FileWriter { area: self, size, position: 0, in_blocks: size, start, shape })
    }

    /// Writes what is left; returns the first block behind the area.
    pub(super) fn finish(mut self) -> io::Result<u32> {
        self.write_gathered()?;
        block(self.end)
    }

    /// The end of the area with `len` more bytes in whole blocks.
    fn reserve(&self, len: u64) -> io::Result<u64> {
        let end = self.end.checked_add(len).and_then(|end| end.checked_next_multiple_of(BLOCK));
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        block(end).map(|_| end)
    }

    /// Writes `bytes` at `at`, which is behind all that was put before.
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        if bytes.len() >= DIRECT {
            // The file reads as zeroes where nothing was written.
            let zeroes = bytes.iter().all(|byte| *byte == 0);
            return if zeroes { Ok(()) } else { self.out.write_all_at(bytes, at) };
        }
        let gathered_end = self.gathered_at + self.gathered.len() as u64;
        let gap = at.checked_sub(gathered_end).filter(|gap| *gap < BLOCK);
        match gap.and_then(|gap| usize::try_from(gap).ok()) {
            Some(gap) if self.gathered.len() + gap + bytes.len() <= GATHERED => {
                self.gathered.resize(self.gathered.len() + gap, 0);
            }
            _ => {
                self.write_gathered()?;
                self.gathered_at = at;
            }
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    fn write_gathered(&mut self) -> io::Result<()> {
        self.out.write_all_at(&self.gathered, self.gathered_at)?;
        self.gathered_at += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}

/// The number of the block at `offset`; 2^32 blocks are all that there are.
fn block(offset: u64) -> io::Result<u32> {
    u32::try_from(offset / BLOCK).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Takes the bytes of one file.
pub(crate) struct FileWriter<'d, 'a> {
    area: &'d mut DataArea<'a>,
    size: u64,
    position: u64,
    /// Bytes that go to blocks.
    in_blocks: u64,
    /// Where position 0 is in the image, or position 0 of the present run of chunks.
    start: u64,
    shape: Shape,
}

enum Shape {
    Plain { block: u32, tail: Vec<u8> },
    Chunks { bits: u8, runs: Vec<Run> },
}

impl FileWriter<'_, '_> {
    /// Goes on at `position` of a sparse file, which is not before the present one.
    pub(crate) fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// Writes at the present position, and moves it.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (at, room) = match &self.shape {
                Shape::Plain { .. } => {
                    (self.start + self.position, self.in_blocks.saturating_sub(self.position))
                }
                Shape::Chunks { bits, .. } => self.chunk_at(*bits)?,
            };
            let len = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(len);
            if let (0, Shape::Plain { tail, .. }) = (len, &mut self.shape) {
                tail.extend_from_slice(later);
                self.position += later.len() as u64;
                break;
            }
            self.area.put(now, at)?;
            self.position += len as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Where the present position is in the image, and how much of its chunk follows.
    fn chunk_at(&mut self, bits: u8) -> io::Result<(u64, u64)> {
        let chunk_len = BLOCK << bits;
        let (chunk, inside) = (self.position / chunk_len, self.position % chunk_len);
        let Shape::Chunks { runs, .. } = &mut self.shape else { return Ok((0, 0)) };
        let last = runs.last_mut().filter(|run| chunk < run.chunk + run.count);
        let at = match last {
            Some(run) => u64::from(run.block) * BLOCK + (chunk - run.chunk) * chunk_len,
            None => {
                let at = self.area.end;
                let rest = self.size.saturating_sub(chunk * chunk_len);
                self.area.end = self.area.reserve(chunk_len.min(rest))?;
                let follows = |run: &Run| {
                    run.chunk + run.count == chunk
                        && u64::from(run.block) * BLOCK + run.count * chunk_len == at
                };
                match runs.last_mut().filter(|run| follows(run)) {
                    Some(run) => run.count += 1,
                    None => runs.push(Run { chunk, count: 1, block: block(at)? }),
                }
                at
            }
        };
        Ok((at + inside, chunk_len - inside))
    }

    /// Where the file's bytes are, which have all come.
    pub(crate) fn finish(self) -> Contents {
        match self.shape {
            Shape::Plain { block, tail } => {
                Contents::Plain { size: self.size, block, tail: tail.into() }
            }
            Shape::Chunks { bits, runs } => Contents::Chunks { size: self.size, bits, runs },
        }
    }
}
