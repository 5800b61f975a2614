//! The file system as a whole.

use rustix::fs::{OFlags, fstatvfs, syncfs};
use rustix::io::Errno;

use super::{Answer, Call, Server};
use crate::fs::protocol::{ROOT, StatfsOut};
use crate::fs::share::Root;

impl Server {
    pub(super) fn statfs(&mut self, call: Call) -> Result<Answer, Errno> {
        let stat = match self.single_file(call.node) {
            Some((_, file)) => fstatvfs(file)?,
            None => fstatvfs(self.nodes.get(call.node)?)?,
        };
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Answer::of(&StatfsOut {
            blocks: stat.f_blocks,
            bfree: stat.f_bfree,
            bavail: stat.f_bavail,
            files: stat.f_files,
            ffree: stat.f_ffree,
            bsize: small(stat.f_bsize),
            namelen: small(stat.f_namemax),
            frsize: small(stat.f_frsize),
            ..StatfsOut::default()
        }))
    }

    /// Makes all durable, also what other programs have written to the same file system: the host
    /// knows no smaller unit.
    pub(super) fn syncfs(&mut self) -> Result<Answer, Errno> {
        if !self.share.options.read_only && matches!(self.share.root, Root::Folder(_)) {
            let root = self.nodes.folder(ROOT)?;
            syncfs(self.reopen(root, OFlags::RDONLY | OFlags::DIRECTORY)?)?;
        }
        Ok(Answer::Empty)
    }
}
