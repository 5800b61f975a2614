//! Sets of flags.

use bitflags::bitflags;

bitflags! {
    /// What both sides can do, negotiated by INIT.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) struct InitFlags: u32 {
        /// Several reads at a time.
        const ASYNC_READ = 1 << 0;
        /// OPEN truncates as well.
        const ATOMIC_O_TRUNC = 1 << 3;
        /// Writes of more than a page.
        const BIG_WRITES = 1 << 5;
        /// Cached data is dropped when attributes show that the file has changed.
        const AUTO_INVAL_DATA = 1 << 12;
        /// Reading a folder can look its entries up.
        const DO_READDIRPLUS = 1 << 13;
        /// The guest decides each time whether it should.
        const READDIRPLUS_AUTO = 1 << 14;
        /// Direct I/O does not wait for one request after the other.
        const ASYNC_DIO = 1 << 15;
        /// Lookups in a folder at the same time.
        const PARALLEL_DIROPS = 1 << 18;
        /// `max_pages` is given.
        const MAX_PAGES = 1 << 22;
        /// Targets of symbolic links are kept.
        const CACHE_SYMLINKS = 1 << 23;
        /// The server clears set-user-id and set-group-id bits where it is told to.
        const HANDLE_KILLPRIV_V2 = 1 << 28;
    }

    /// What the guest should know of a file that was opened.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) struct OpenedFlags: u32 {
        /// Its content is not to be cached.
        const DIRECT_IO = 1 << 0;
        /// What is cached of it stays valid.
        const KEEP_CACHE = 1 << 1;
        /// What a folder holds can be cached.
        const CACHE_DIR = 1 << 3;
    }

    /// Which attributes are set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) struct SetattrFlags: u32 {
        const MODE = 1 << 0;
        const UID = 1 << 1;
        const GID = 1 << 2;
        const SIZE = 1 << 3;
        const ATIME = 1 << 4;
        const MTIME = 1 << 5;
        /// A handle is given.
        const FH = 1 << 6;
        const ATIME_NOW = 1 << 7;
        const MTIME_NOW = 1 << 8;
        /// Set-user-id and set-group-id bits go.
        const KILL_SUIDGID = 1 << 11;
    }

    /// What is to be known about a write.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) struct WriteFlags: u32 {
        /// It comes from the guest's page cache, long after the program's call.
        const CACHE = 1 << 0;
        /// Set-user-id and set-group-id bits go.
        const KILL_SUIDGID = 1 << 2;
    }
}

/// OPEN and CREATE: set-user-id and set-group-id bits go when the file is truncated.
pub(in super::super) const OPEN_KILL_SUIDGID: u32 = 1 << 0;
/// FSYNC: the data only.
pub(in super::super) const FSYNC_DATA: u32 = 1 << 0;
/// GETATTR: a handle is given.
pub(in super::super) const GETATTR_FH: u32 = 1 << 0;
