//! Several files as one read-only disk, each a partition of it.

use std::io;
use std::path::PathBuf;

use super::partition_table::{ENTRIES, PartitionTable};
use super::{Disk, Extent, FileDisk};
use crate::virtio::Buffers;

/// Why files do not make a disk.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NewCompositeError {
    /// A partition has a block at least.
    #[error("disk {} is empty and cannot be a partition", path.display())]
    Empty {
        /// Host path of the file.
        path: PathBuf,
    },
    /// More partitions than a table has entries, or more bytes than a disk can have.
    #[error("{parts} disks of {bytes} bytes are too many for one")]
    TooLarge {
        /// How many there are.
        parts: usize,
        /// Their sizes, added up.
        bytes: u128,
    },
}

/// Read-only disks one behind the other, in a GUID partition table that exists in memory only.
///
/// What is not table nor partition reads as zeroes.
#[derive(Debug)]
pub struct CompositeDisk {
    /// In ascending order, without overlaps.
    pieces: Vec<Piece>,
    size: u64,
}

/// A range of the disk that is not zeroes.
#[derive(Debug)]
struct Piece {
    start: u64,
    len: u64,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Bytes(Vec<u8>),
    File(FileDisk),
}

/// Where a byte of the disk comes from, and how many after it come from there too.
enum Source<'a> {
    Piece { piece: &'a Piece, offset: u64 },
    Zeroes,
}

impl CompositeDisk {
    /// A disk of these `parts`, at their present sizes, with logical blocks of `block_size` bytes
    /// (512 or 4096).
    pub fn new(parts: Vec<FileDisk>, block_size: u32) -> Result<Self, NewCompositeError> {
        if let Some(empty) = parts.iter().find(|part| part.size() == 0) {
            return Err(NewCompositeError::Empty { path: empty.path().to_owned() });
        }
        let sizes: Vec<u64> = parts.iter().map(Disk::size).collect();
        let table = PartitionTable::new(&sizes, block_size).filter(|_| parts.len() <= ENTRIES);
        let table = table.ok_or_else(|| NewCompositeError::TooLarge {
            parts: parts.len(),
            bytes: sizes.iter().map(|size| u128::from(*size)).sum(),
        })?;
        let mut pieces = Vec::with_capacity(parts.len() + 2);
        pieces.push(Piece::bytes(0, table.head));
        for ((start, len), part) in table.partitions.into_iter().zip(sizes).zip(parts) {
            pieces.push(Piece { start, len, data: Data::File(part) });
        }
        pieces.push(Piece::bytes(table.disk_size - table.tail.len() as u64, table.tail));
        Ok(Self { pieces, size: table.disk_size })
    }

    /// What is at `offset`, and for how many bytes.
    fn source(&self, offset: u64) -> (Source<'_>, u64) {
        let next = self.pieces.partition_point(|piece| piece.start <= offset);
        let before = next.checked_sub(1).and_then(|at| self.pieces.get(at));
        if let Some(piece) = before
            && let inside = offset - piece.start
            && inside < piece.len
        {
            return (Source::Piece { piece, offset: inside }, piece.len - inside);
        }
        let end = self.pieces.get(next).map_or(self.size, |piece| piece.start);
        (Source::Zeroes, end.saturating_sub(offset))
    }
}

impl Piece {
    fn bytes(start: u64, bytes: Vec<u8>) -> Self {
        Self { start, len: bytes.len() as u64, data: Data::Bytes(bytes) }
    }

    fn read(&self, data: Buffers, offset: u64) -> io::Result<()> {
        match &self.data {
            Data::File(file) => file.read(data, offset),
            Data::Bytes(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                let len = data.copy_from(from.unwrap_or_default())?;
                if len == data.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        }
    }
}

impl Disk for CompositeDisk {
    fn size(&self) -> u64 {
        self.size
    }

    /// The table would be another one with parts of other sizes: it stays as it was.
    fn refresh_size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn read(&self, mut data: Buffers, mut offset: u64) -> io::Result<()> {
        while !data.is_empty() {
            let (source, len) = self.source(offset);
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let rest = data.split_off(usize::try_from(len).unwrap_or(usize::MAX));
            offset += data.len() as u64;
            match source {
                Source::Piece { piece, offset } => piece.read(data, offset)?,
                Source::Zeroes => data.zero()?,
            }
            data = rest;
        }
        Ok(())
    }

    fn write(&self, _: Buffers, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, _: Extent) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write_zeroes(&self, _: Extent, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

#[cfg(test)]
mod tests;
