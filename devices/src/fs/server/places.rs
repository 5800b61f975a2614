//! Finding files by the names that they were last seen under.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::Server;
use crate::fs::attributes::{stat, stat_at};
use crate::fs::handle::Found;
use crate::fs::protocol::EntryOut;

/// Descriptors that are closed where the process has no more.
const CLOSED_AT_ONCE: usize = 64;

impl Server {
    /// Looks an entry up that was just read of a folder. Of a file that is known its name's
    /// attributes say all: it needs no new descriptor.
    pub(super) fn lookup_entry(&mut self, folder: u64, found: &Found) -> Result<EntryOut, Errno> {
        if self.nodes.expects(folder, found.ino) {
            let stat = stat_at(self.nodes.folder(folder)?, &found.name)?;
            if let Some(id) = self.nodes.enter_again(&stat, (folder, &found.name)) {
                let attr = self.attr(self.nodes.get(id)?, &stat)?;
                return Ok(self.entry(id, attr));
            }
        }
        self.lookup_name(folder, &found.name)
    }

    /// As [`find`](Self::find); if the process has no more descriptors, then with some less for
    /// nodes.
    pub(super) fn find_with_room(&mut self, folder: u64, name: &CStr) -> Result<OwnedFd, Errno> {
        match self.find(self.nodes.folder(folder)?, name) {
            Err(Errno::MFILE) if self.nodes.close(CLOSED_AT_ONCE) > 0 => {
                self.find(self.nodes.folder(folder)?, name)
            }
            result => result,
        }
    }

    /// Gives a node its descriptor back, if it was closed. ESTALE if it is not where it was.
    pub(super) fn open_again(&mut self, id: u64) -> Result<(), Errno> {
        let Some((folder, name)) = self.nodes.closed(id) else { return Ok(()) };
        let fd = self.find_with_room(folder, &name).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => Errno::STALE,
            error => error,
        })?;
        let stat = stat(&fd)?;
        self.nodes.reopened(id, fd, &stat)
    }

    /// Before a name goes: its node gets a descriptor, if that name leads to it, since the file
    /// may have other names. Where it cannot, the name goes all the same.
    pub(super) fn keep(&mut self, folder: u64, name: &CStr) {
        if self.nodes.any_closed()
            && let Ok(parent) = self.nodes.folder(folder)
            && let Ok(stat) = stat_at(parent, name)
            && let Some(id) = self.nodes.closed_at(&stat, (folder, name))
        {
            let _ = self.open_again(id);
        }
    }

    /// After a rename: its node is found by the new name.
    pub(super) fn moved(&mut self, folder: u64, name: &CStr) {
        if self.nodes.any_closed()
            && let Ok(parent) = self.nodes.folder(folder)
            && let Ok(stat) = stat_at(parent, name)
        {
            self.nodes.moved(&stat, (folder, name));
        }
    }
}
