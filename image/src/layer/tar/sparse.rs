//! Sparse files, in the four forms that GNU tar has had: a header's table (`S`), and three
//! versions in extended headers (0.0, 0.1, 1.0).

use super::super::ImportError;
use super::super::stream::Stream;
use super::header::{BLOCK, Header, unsigned};
use super::pax::decimal;

const BAD_MAP: ImportError = ImportError::Damaged("the map of a sparse file is malformed");
/// Most ranges of data in one file: 4 GiB of alternating blocks.
const MAX_RANGES: usize = 1 << 19;
/// Bytes of a table's entry.
const ENTRY: usize = 24;

/// Some bytes of a file that are not in a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// A file's whole length, and what is not in holes, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sparse {
    pub(crate) size: u64,
    pub(crate) ranges: Vec<Range>,
}

impl Sparse {
    /// `data` is how many bytes are there for all ranges.
    fn new(size: u64, ranges: Vec<Range>, data: u64) -> Result<Self, ImportError> {
        let (mut end, mut sum) = (0u64, 0u64);
        for range in &ranges {
            if range.offset < end {
                return Err(BAD_MAP);
            }
            end = range.offset.checked_add(range.len).filter(|end| *end <= size).ok_or(BAD_MAP)?;
            sum += range.len;
        }
        if sum == data { Ok(Self { size, ranges }) } else { Err(BAD_MAP) }
    }

    /// Reads the table of a header of type `S`, and its continuation in blocks of their own.
    pub(super) fn from_header(
        header: &Header,
        stream: &mut Stream<'_>,
    ) -> Result<Self, ImportError> {
        let size = unsigned(header.field(483..495)).ok_or(BAD_MAP)?;
        let mut ranges = Vec::new();
        add_entries(&mut ranges, header.field(386..482))?;
        let mut goes_on = header.field(482..483) != [0];
        while goes_on {
            let mut block = [0; BLOCK];
            if !stream.read_exact(&mut block)? {
                return Err(ImportError::Truncated);
            }
            add_entries(&mut ranges, block.get(..504).unwrap_or_default())?;
            goes_on = block.get(504).is_some_and(|more| *more != 0);
        }
        Self::new(size, ranges, header.size()?)
    }
}

fn add_entries(ranges: &mut Vec<Range>, table: &[u8]) -> Result<(), ImportError> {
    for entry in table.chunks_exact(ENTRY) {
        let (offset, len) = entry.split_at(ENTRY / 2);
        if offset.first() == Some(&0) {
            break;
        }
        let range = unsigned(offset).zip(unsigned(len)).map(|(offset, len)| Range { offset, len });
        push(ranges, range.ok_or(BAD_MAP)?)?;
    }
    Ok(())
}

fn push(ranges: &mut Vec<Range>, range: Range) -> Result<(), ImportError> {
    if ranges.len() == MAX_RANGES {
        return Err(ImportError::Damaged("the map of a sparse file is too long"));
    }
    ranges.push(range);
    Ok(())
}

/// What extended headers say of a sparse file.
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    major: Option<u32>,
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    ranges: Vec<Range>,
    offset: Option<u64>,
}

impl PaxSparse {
    /// Takes a record over, whose key is without its beginning; `None` if it is malformed.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"major" => self.major = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()).filter(|name| !name.contains(&0)),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            // 0.0 has a pair of records for each range.
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let range = Range { offset: self.offset.take()?, len: decimal(value)? };
                push(&mut self.ranges, range).ok()?;
            }
            // 0.1 has all in one record.
            b"map" => {
                let mut numbers = value.split(|byte| *byte == b',');
                while let Some(offset) = numbers.next() {
                    let range = Range { offset: decimal(offset)?, len: decimal(numbers.next()?)? };
                    push(&mut self.ranges, range).ok()?;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// The map of a file that has `data` bytes in the archive, and how many of them remain: version
    /// 1.0 has the map in front of them. `None` if the file is not sparse.
    pub(super) fn map(
        self,
        data: u64,
        stream: &mut Stream<'_>,
    ) -> Result<Option<(Sparse, u64)>, ImportError> {
        let Some(size) = self.size else { return Ok(None) };
        let (ranges, data) = match self.major {
            Some(1) => map_before_data(data, stream)?,
            None | Some(0) => (self.ranges, data),
            Some(_) => return Err(ImportError::Damaged("a sparse file is of an unknown version")),
        };
        Sparse::new(size, ranges, data).map(|sparse| Some((sparse, data)))
    }
}

/// Numbers in decimal, a line each: how many ranges, and their offsets and lengths. Whole blocks.
fn map_before_data(
    mut data: u64,
    stream: &mut Stream<'_>,
) -> Result<(Vec<Range>, u64), ImportError> {
    let (mut block, mut at) = ([0; BLOCK], BLOCK);
    let mut next = || -> Result<u64, ImportError> {
        let mut number = None;
        loop {
            if at == BLOCK {
                data = data.checked_sub(BLOCK as u64).ok_or(BAD_MAP)?;
                if !stream.read_exact(&mut block)? {
                    return Err(ImportError::Truncated);
                }
                at = 0;
            }
            let byte = block.get(at).copied().unwrap_or_default();
            at += 1;
            number = match byte {
                b'\n' => return number.ok_or(BAD_MAP),
                b'0'..=b'9' => {
                    let number: u64 = number.unwrap_or(0);
                    let digit = u64::from(byte - b'0');
                    Some(number.checked_mul(10).and_then(|n| n.checked_add(digit)).ok_or(BAD_MAP)?)
                }
                _ => return Err(BAD_MAP),
            };
        }
    };
    let mut ranges = Vec::new();
    for _ in 0..next()? {
        let range = Range { offset: next()?, len: next()? };
        push(&mut ranges, range)?;
    }
    Ok((ranges, data))
}
