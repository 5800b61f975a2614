//! Giving storage back, and zeroing without sending zeroes.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::Extent;
use super::file::Kind;

/// `BLKDISCARD` of linux/fs.h: `_IO(0x12, 119)`.
const BLKDISCARD: libc::Ioctl = 0x1277;

/// Zeroes that are written where the host has no shorter way.
#[repr(align(4096))]
struct Zeroes([u8; 64 << 10]);
static ZEROES: Zeroes = Zeroes([0; 64 << 10]);

/// Gives the storage of `extent` back, if the host can.
pub(super) fn discard(file: &File, kind: Kind, extent: Extent) -> io::Result<()> {
    let result = match kind {
        Kind::Regular => punch_hole(file, extent).map_err(io::Error::from),
        Kind::BlockDevice => discard_blocks(file, extent),
    };
    match result {
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        result => result,
    }
}

/// Makes `extent` read as zeroes, in the shortest way that the host has.
pub(super) fn write_zeroes(
    file: &File,
    extent: Extent,
    unmap: bool,
    alignment: u32,
) -> io::Result<()> {
    if unmap && accepted(punch_hole(file, extent))? {
        return Ok(());
    }
    let mode = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    if accepted(fallocate(file, mode, extent.offset, extent.len))? {
        return Ok(());
    }
    write_zero_bytes(file, extent, alignment)
}

/// Works on block devices too: there it zeroes, with the storage given back if that can be.
fn punch_hole(file: &File, extent: Extent) -> rustix::io::Result<()> {
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, mode, extent.offset, extent.len)
}

fn accepted(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn discard_blocks(device: &File, extent: Extent) -> io::Result<()> {
    let range = [extent.offset, extent.len];
    // SAFETY: the ioctl reads two 64-bit numbers, which `range` is, and changes no memory.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), BLKDISCARD, &range) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(super) fn write_zero_bytes(file: &File, extent: Extent, alignment: u32) -> io::Result<()> {
    debug_assert!(ZEROES.0.len().is_multiple_of(alignment as usize));
    let (mut offset, mut left) = (extent.offset, extent.len);
    while left > 0 {
        let len = ZEROES.0.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(zeroes) = ZEROES.0.get(..len) else { break };
        file.write_all_at(zeroes, offset)?;
        offset += len as u64;
        left -= len as u64;
    }
    Ok(())
}
