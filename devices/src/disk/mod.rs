//! Disks: where the data of a block device lives on the host.
//!
//! A [`Disk`] answers whole requests synchronously. One that keeps its bytes as they are in a file
//! says so with [`Disk::file`], and an asynchronous engine then works on that file by itself.
//! Formats that map addresses (qcow2, a composite of several files) do not.

mod composite;
mod discard;
mod error;
mod file;
mod lock;
mod partition_table;
mod transfer;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

pub use composite::{CompositeDisk, NewCompositeError};
pub use error::OpenDiskError;
pub use file::{FileDisk, OpenOptions};

use crate::virtio::Buffers;

/// A range of bytes of a disk. Requests are checked against the disk's size before they become
/// extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// A file that holds a disk's bytes as they are.
#[derive(Debug, Clone, Copy)]
pub struct BackingFile<'a> {
    /// Open as the disk is.
    pub fd: BorrowedFd<'a>,
    /// Whether holes can be punched in it (fallocate), as in a regular file. A block device has
    /// calls of its own for that.
    pub has_holes: bool,
}

/// A random-access store of bytes that several queues use at the same time.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Size in bytes, as last seen: see [`refresh_size`](Self::refresh_size).
    fn size(&self) -> u64;

    /// Looks at the size again, after something outside changed it.
    fn refresh_size(&self) -> io::Result<u64>;

    /// Whether writes fail.
    fn is_read_only(&self) -> bool;

    /// Bytes to which offsets and lengths must be aligned: 1, or more where the host's cache is
    /// bypassed.
    fn alignment(&self) -> u32 {
        1
    }

    /// Fills `data` from `offset`: all of it, or it fails.
    fn read(&self, data: Buffers, offset: u64) -> io::Result<()>;

    /// Writes all of `data` at `offset`. It may stay in the host's cache.
    fn write(&self, data: Buffers, offset: u64) -> io::Result<()>;

    /// Makes what was written before durable.
    fn flush(&self) -> io::Result<()>;

    /// Gives the storage of `extent` back; it reads as anything afterwards. Where the host has no
    /// way to do it, this does nothing.
    fn discard(&self, extent: Extent) -> io::Result<()>;

    /// Makes `extent` read as zeroes, giving its storage back if `unmap` and if that can be done.
    fn write_zeroes(&self, extent: Extent, unmap: bool) -> io::Result<()>;

    /// The file whose bytes are the disk's, at the same offsets.
    fn file(&self) -> Option<BackingFile<'_>> {
        None
    }
}
