//! The beginning of a session: what both sides can do.

use std::os::fd::AsFd;

use log::warn;
use rustix::io::Errno;

use super::{Answer, Call, MAX_TRANSFER, Server};
use crate::fs::attributes::stat;
use crate::fs::owners::Owners;
use crate::fs::protocol::{InitFlags, InitIn, InitOut, MAJOR, MINOR, OLDEST_MINOR};
use crate::fs::share::{Cache, Root};
use crate::fs::thread::prepare;

/// Pages of 4 KiB of a read or write.
const MAX_PAGES: u16 = (MAX_TRANSFER / 4096) as u16;
/// Requests that the guest's kernel makes by itself at a time.
const MAX_BACKGROUND: u16 = 64;

/// What was agreed.
pub(super) struct Session {
    pub(super) owners: Owners,
}

impl Server {
    pub(super) fn init(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let asked: InitIn = call.arguments.take()?;
        if asked.major < MAJOR || asked.major == MAJOR && asked.minor < OLDEST_MINOR {
            return Err(Errno::PROTO);
        }
        let mut out = InitOut { major: MAJOR, minor: MINOR, ..InitOut::default() };
        if asked.major > MAJOR {
            // The guest begins anew with the version that it is told.
            return Ok(Answer::of(&out));
        }
        self.begin()?;
        let flags = self.offered() & InitFlags::from_bits_truncate(asked.flags);
        out.max_readahead = asked.max_readahead.min(MAX_TRANSFER);
        out.flags = flags.bits();
        out.max_background = MAX_BACKGROUND;
        out.congestion_threshold = MAX_BACKGROUND / 4 * 3;
        out.max_write = MAX_TRANSFER;
        out.time_granularity = 1;
        out.max_pages = MAX_PAGES;
        Ok(Answer::of(&out))
    }

    /// Locks of files are not among these: each guest keeps its own.
    fn offered(&self) -> InitFlags {
        let mut flags = InitFlags::ASYNC_READ
            | InitFlags::ATOMIC_O_TRUNC
            | InitFlags::BIG_WRITES
            | InitFlags::DO_READDIRPLUS
            | InitFlags::READDIRPLUS_AUTO
            | InitFlags::ASYNC_DIO
            | InitFlags::PARALLEL_DIROPS
            | InitFlags::MAX_PAGES
            | InitFlags::HANDLE_KILLPRIV_V2;
        flags |= match self.share.options.cache {
            Cache::None => InitFlags::empty(),
            Cache::Auto => InitFlags::AUTO_INVAL_DATA,
            Cache::Always => InitFlags::CACHE_SYMLINKS,
        };
        flags
    }

    /// Forgets what an earlier session left, and takes the thread over.
    fn begin(&mut self) -> Result<(), Errno> {
        self.reset();
        prepare(self.share.descriptors.as_fd()).inspect_err(|e| {
            warn!("{}: cannot be served: {e}", self.share.path().display());
        })?;
        if let Root::Folder(fd) = &self.share.root {
            let fd = rustix::io::fcntl_dupfd_cloexec(fd, 0)?;
            let stat = stat(&fd)?;
            self.nodes.set_root(fd, &stat);
        }
        self.session = Some(Session { owners: Owners::of_this_thread() });
        Ok(())
    }
}
