//! Archives as images have them: POSIX ustar and pax, and GNU's extensions.
//!
//! Where the formats leave room, an archive means what it means to Go's `archive/tar`, which wrote
//! most of them.

mod header;
mod pax;
mod sparse;

use std::collections::BTreeMap;

use super::ImportError;
use super::stream::Stream;
use header::{BLOCK, Header};
use pax::Extended;
use sparse::PaxSparse;
pub(super) use sparse::Sparse;

/// Longest body of an extended header or a long name.
const MAX_EXTENSION: u64 = 1 << 20;

/// A file of an archive, without its contents.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) permissions: u16,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) mtime: i64,
    pub(super) mtime_nanos: u32,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a file of an archive is.
#[derive(Debug)]
pub(super) enum EntryKind {
    /// With so many bytes, which follow.
    File(u64),
    /// What is not in holes follows.
    Sparse(Sparse),
    HardLink,
    Symlink,
    CharDevice {
        major: u64,
        minor: u64,
    },
    BlockDevice {
        major: u64,
        minor: u64,
    },
    Directory,
    Fifo,
    /// None of these.
    Unknown(u8),
}

/// Reads an archive from a stream, file by file.
pub(super) struct Archive<'s, 'l> {
    stream: &'s mut Stream<'l>,
    /// Bytes of the present file that were not read.
    data: u64,
    /// Bytes between them and the next header.
    padding: u64,
}

impl<'s, 'l> Archive<'s, 'l> {
    pub(super) fn new(stream: &'s mut Stream<'l>) -> Self {
        Self { stream, data: 0, padding: 0 }
    }

    /// The next file; what was not read of the one before is skipped. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ImportError> {
        let mut extended = Extended::default();
        let (mut long_path, mut long_link) = (None, None);
        loop {
            self.skip()?;
            let mut block = [0; BLOCK];
            // An archive may end without the blocks that say so.
            let header = match self.stream.read_exact(&mut block)? {
                true => Header::new(block)?,
                false => None,
            };
            let Some(header) = header else {
                return Ok(None);
            };
            let size = header.size();
            match header.kind() {
                b'x' => extended.read(&self.extension(size?)?)?,
                // They are comments in practice, and Go leaves it to its users to apply them.
                b'g' => drop(self.extension(size?)?),
                b'L' => long_path = Some(self.long_name(size?)?),
                b'K' => long_link = Some(self.long_name(size?)?),
                _ => return self.entry(&header, extended, long_path, long_link).map(Some),
            }
        }
    }

    /// Some of the present file's contents: nothing at their end only.
    pub(super) fn fill(&mut self) -> Result<&[u8], ImportError> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let next = self.stream.fill()?;
        if next.is_empty() {
            return Err(ImportError::Truncated);
        }
        let len = usize::try_from(self.data).unwrap_or(usize::MAX).min(next.len());
        Ok(next.get(..len).unwrap_or_default())
    }

    /// Marks `count` bytes of them as read.
    pub(super) fn consume(&mut self, count: usize) {
        self.stream.consume(count);
        self.data = self.data.saturating_sub(count as u64);
    }

    fn entry(
        &mut self,
        header: &Header,
        extended: Extended,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, ImportError> {
        let mut path = long_path.unwrap_or_else(|| header.path());
        path = extended.sparse.name.clone().or(extended.path).unwrap_or(path);
        let link = extended.link.or(long_link).unwrap_or_else(|| header.link());
        let size = extended.size.map_or_else(|| header.size(), Ok);
        let kind = match header.kind() {
            // Before POSIX, directories were files whose names end so.
            b'0' | 0 if path.ends_with(b"/") => EntryKind::Directory,
            b'0' | 0 | b'7' => self.file(size?, extended.sparse)?,
            b'S' => {
                let sparse = Sparse::from_header(header, self.stream)?;
                self.contents(header.size()?);
                EntryKind::Sparse(sparse)
            }
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => {
                let (major, minor) = header.device()?;
                EntryKind::CharDevice { major, minor }
            }
            b'4' => {
                let (major, minor) = header.device()?;
                EntryKind::BlockDevice { major, minor }
            }
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => EntryKind::Unknown(other),
        };
        let (mtime, mtime_nanos) =
            extended.mtime.map_or_else(|| header.mtime().map(|seconds| (seconds, 0)), Ok)?;
        Ok(Entry {
            path,
            link,
            kind,
            permissions: header.mode()?,
            uid: extended.uid.map_or_else(|| header.uid(), Ok)?,
            gid: extended.gid.map_or_else(|| header.gid(), Ok)?,
            mtime,
            mtime_nanos,
            xattrs: extended.xattrs,
        })
    }

    fn file(&mut self, size: u64, sparse: PaxSparse) -> Result<EntryKind, ImportError> {
        // The padding is that of all, the map of a sparse file included.
        self.contents(size);
        let Some((sparse, data)) = sparse.map(size, self.stream)? else {
            return Ok(EntryKind::File(size));
        };
        self.data = data;
        Ok(EntryKind::Sparse(sparse))
    }

    /// Says that `size` bytes follow, in whole blocks.
    fn contents(&mut self, size: u64) {
        let block = BLOCK as u64;
        (self.data, self.padding) = (size, (block - size % block) % block);
    }

    /// The body of an extension.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ImportError> {
        if size > MAX_EXTENSION {
            return Err(ImportError::Damaged("an extended header is too long"));
        }
        self.contents(size);
        let mut body = vec![0; usize::try_from(size).unwrap_or_default()];
        if !body.is_empty() && !self.stream.read_exact(&mut body)? {
            return Err(ImportError::Truncated);
        }
        self.data = 0;
        Ok(body)
    }

    /// A name up to its NUL.
    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, ImportError> {
        let mut name = self.extension(size)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        Ok(name)
    }

    /// Goes to the next header.
    fn skip(&mut self) -> Result<(), ImportError> {
        loop {
            let rest = self.data.saturating_add(self.padding);
            if rest == 0 {
                return Ok(());
            }
            let next = self.stream.fill()?.len();
            if next == 0 {
                // Only padding may be missing.
                return if self.data == 0 {
                    self.padding = 0;
                    Ok(())
                } else {
                    Err(ImportError::Truncated)
                };
            }
            let len = usize::try_from(rest).unwrap_or(usize::MAX).min(next);
            let data = len.min(usize::try_from(self.data).unwrap_or(usize::MAX));
            self.consume(len);
            self.padding -= (len - data) as u64;
        }
    }
}
