//! Engines: how requests reach the disk.

use std::io;
use std::time::Instant;

use log::warn;

use super::request::{Request, Work};
use super::shared::Shared;
use super::uring::Uring;
use crate::disk::Disk;

/// How a disk is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// One system call for each request, in order.
    #[default]
    Sync,
    /// io_uring, or [`Sync`](Self::Sync) where the host forbids it or the disk's format needs it.
    Async,
}

/// A request on its way, and when it was taken.
#[derive(Debug)]
pub(super) struct Flight {
    pub request: Request,
    pub started: Instant,
}

/// An engine in use. Boxed where large, so that a synchronous one costs nothing.
pub(super) enum Engine {
    Sync,
    Uring(Box<Uring>),
}

impl Engine {
    /// An engine for `in_flight` requests at a time.
    pub(super) fn new(kind: EngineKind, disk: &dyn Disk, in_flight: u16) -> Self {
        match (kind, disk.file()) {
            (EngineKind::Async, Some(file)) => match Uring::new(file, in_flight) {
                Ok(uring) => return Self::Uring(Box::new(uring)),
                Err(e) => warn!("io_uring cannot be used ({e}): disk I/O will be synchronous"),
            },
            (EngineKind::Async, None) => {
                warn!(
                    "io_uring cannot be used with this disk format: disk I/O will be synchronous"
                );
            }
            (EngineKind::Sync, _) => {}
        }
        Self::Sync
    }
}

/// Does `work` at once, leaving nothing of it.
pub(super) fn execute(work: &mut Work, disk: &dyn Disk, shared: &Shared) -> io::Result<()> {
    match std::mem::replace(work, Work::Flush) {
        Work::Read { data, offset } => return disk.read(data, offset),
        Work::Write { data, offset } => disk.write(data, offset)?,
        Work::Flush => return disk.flush(),
        Work::Discard(extents) => return extents.into_iter().try_for_each(|e| disk.discard(e)),
        Work::WriteZeroes(zeroings) => {
            zeroings.into_iter().try_for_each(|z| disk.write_zeroes(z.extent, z.unmap))?;
        }
        Work::GetId(data) => return data.copy_from(&shared.serial).map(|_| ()),
    }
    if shared.write_through() { disk.flush() } else { Ok(()) }
}
