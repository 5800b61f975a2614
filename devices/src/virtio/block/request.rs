//! Requests: what a descriptor chain asks of the disk (VIRTIO 1.3, 5.2.6).

use smallvec::SmallVec;
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_BLK_S_IOERR,
    VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH,
    VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
    VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::config::{MAX_SEGMENT_SECTORS, MAX_SEGMENTS, SERIAL_LEN, bit};
use crate::disk::Extent;
use crate::virtio::{Buffers, Chain};

/// The unit of addresses and lengths in bytes, whatever the block size.
pub(super) const SECTOR: u64 = 512;

/// How a request ended, for its status byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Ok = VIRTIO_BLK_S_OK as u8,
    IoError = VIRTIO_BLK_S_IOERR as u8,
    Unsupported = VIRTIO_BLK_S_UNSUPP as u8,
}

/// `struct virtio_blk_req` up to its data.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    kind: U32,
    reserved: U32,
    sector: U64,
}

/// `struct virtio_blk_discard_write_zeroes`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Segment {
    sector: U64,
    sectors: U32,
    flags: U32,
}

/// A part of a request to zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zeroing {
    pub extent: Extent,
    pub unmap: bool,
}

/// What is to be done. All of it lies within the disk.
#[derive(Debug)]
pub(super) enum Work {
    Read { data: Buffers, offset: u64 },
    Write { data: Buffers, offset: u64 },
    Flush,
    Discard(SmallVec<[Extent; 1]>),
    WriteZeroes(SmallVec<[Zeroing; 1]>),
    GetId(Buffers),
}

impl Work {
    fn tally(&self) -> Tally {
        let (kind, bytes, filled) = match self {
            // A chain's lengths are bounded to 4 GiB.
            Self::Read { data, .. } => (Kind::Read, data.len() as u64, data.len() as u32),
            Self::Write { data, .. } => (Kind::Write, data.len() as u64, 0),
            Self::Flush => (Kind::Flush, 0, 0),
            Self::Discard(_) => (Kind::Discard, 0, 0),
            Self::WriteZeroes(_) => (Kind::WriteZeroes, 0, 0),
            Self::GetId(_) => (Kind::GetId, 0, SERIAL_LEN as u32),
        };
        Tally { kind, bytes, filled }
    }
}

/// A request that keeps the rules.
#[derive(Debug)]
pub(super) struct Request {
    pub work: Work,
    pub reply: Reply,
    pub tally: Tally,
}

/// What a request counts as when it is done; `work` is used up by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub kind: Kind,
    /// Bytes that go to or from the disk.
    pub bytes: u64,
    /// Bytes of guest memory that success fills.
    pub filled: u32,
}

/// The types of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Flush,
    Discard,
    WriteZeroes,
    GetId,
}

/// Where the answer to a request goes.
#[derive(Debug)]
pub(super) struct Reply {
    pub head: u16,
    /// The status byte; `None` if the chain has no room for it.
    pub status: Option<Buffers>,
    /// Bytes of the chain's writable part before the status.
    pub writable: u32,
}

impl Reply {
    /// What to report as written when the first `filled` bytes of the writable part were, and the
    /// status: that counts only where nothing unwritten comes before it (VIRTIO 1.3, 2.7.8.2).
    pub(super) fn used_len(&self, filled: u32) -> u32 {
        // A chain's length fits 32 bits with its status.
        if filled == self.writable { filled.saturating_add(1) } else { filled }
    }
}

/// A request that breaks the rules, and what its status says.
#[derive(Debug)]
pub(super) struct Refused {
    pub status: Status,
    pub reply: Reply,
}

/// What requests are judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Negotiated feature bits.
    pub features: u64,
    /// Whether nothing may be written.
    pub read_only: bool,
    /// Size of the disk in bytes.
    pub size: u64,
}

/// Reads the request in `chain`.
pub(super) fn parse(chain: Chain, rules: &Rules) -> Result<Request, Refused> {
    let Chain { head, readable, mut writable } = chain;
    let status = writable.split_tail(1);
    let answerable = status.is_some();
    // A chain's lengths are bounded to 4 GiB.
    let reply = Reply { head, status, writable: writable.len() as u32 };
    if !answerable {
        return Err(Refused { status: Status::IoError, reply });
    }
    match rules.work(readable, writable) {
        Ok(work) => Ok(Request { tally: work.tally(), work, reply }),
        Err(status) => Err(Refused { status, reply }),
    }
}

impl Rules {
    fn work(&self, mut readable: Buffers, writable: Buffers) -> Result<Work, Status> {
        let header: Header = readable.take().map_err(|_| Status::IoError)?;
        let sector = header.sector.get();
        match header.kind.get() {
            VIRTIO_BLK_T_IN => {
                let offset = self.locate(sector, &writable)?;
                Ok(Work::Read { data: writable, offset })
            }
            VIRTIO_BLK_T_OUT => {
                self.check_writable()?;
                let offset = self.locate(sector, &readable)?;
                Ok(Work::Write { data: readable, offset })
            }
            VIRTIO_BLK_T_FLUSH => {
                self.check_negotiated(VIRTIO_BLK_F_FLUSH)?;
                Ok(Work::Flush)
            }
            VIRTIO_BLK_T_GET_ID if writable.len() < SERIAL_LEN => Err(Status::IoError),
            VIRTIO_BLK_T_GET_ID => Ok(Work::GetId(writable)),
            VIRTIO_BLK_T_DISCARD => {
                self.check_negotiated(VIRTIO_BLK_F_DISCARD)?;
                self.segments(readable, 0)
                    .map(|s| s.iter().map(|z| z.extent).collect())
                    .map(Work::Discard)
            }
            VIRTIO_BLK_T_WRITE_ZEROES => {
                self.check_negotiated(VIRTIO_BLK_F_WRITE_ZEROES)?;
                self.segments(readable, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP).map(Work::WriteZeroes)
            }
            _ => Err(Status::Unsupported),
        }
    }

    fn check_negotiated(&self, feature: u32) -> Result<(), Status> {
        if self.features & bit(feature) == 0 { Err(Status::Unsupported) } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<(), Status> {
        if self.read_only { Err(Status::IoError) } else { Ok(()) }
    }

    /// The offset of a transfer of `data`, which must be some sectors of memory.
    fn locate(&self, sector: u64, data: &Buffers) -> Result<u64, Status> {
        let len = data.len() as u64;
        if len == 0 || !len.is_multiple_of(SECTOR) || !data.is_valid() {
            return Err(Status::IoError);
        }
        self.extent(sector, len).map(|e| e.offset)
    }

    /// `len` bytes from `sector`, if they lie within the disk's whole sectors.
    fn extent(&self, sector: u64, len: u64) -> Result<Extent, Status> {
        let offset = sector.checked_mul(SECTOR).ok_or(Status::IoError)?;
        let end = offset.checked_add(len).ok_or(Status::IoError)?;
        if end > self.size - self.size % SECTOR {
            return Err(Status::IoError);
        }
        Ok(Extent { offset, len })
    }

    fn segments(
        &self,
        mut data: Buffers,
        allowed_flags: u32,
    ) -> Result<SmallVec<[Zeroing; 1]>, Status> {
        self.check_writable()?;
        let count = data.len() / size_of::<Segment>();
        let whole = data.len().is_multiple_of(size_of::<Segment>());
        if !whole || count == 0 || count > MAX_SEGMENTS as usize {
            return Err(Status::IoError);
        }
        let mut zeroings = SmallVec::new();
        for _ in 0..count {
            let segment: Segment = data.take().map_err(|_| Status::IoError)?;
            let (sectors, flags) = (segment.sectors.get(), segment.flags.get());
            if flags & !allowed_flags != 0 {
                return Err(Status::Unsupported);
            }
            if sectors > MAX_SEGMENT_SECTORS {
                return Err(Status::IoError);
            }
            let extent = self.extent(segment.sector.get(), u64::from(sectors) * SECTOR)?;
            if extent.len > 0 {
                zeroings.push(Zeroing { extent, unmap: flags != 0 });
            }
        }
        Ok(zeroings)
    }
}
