//! Read-only file systems (EROFS) written in one pass: contents of files as they come, and at the
//! end the tree around them.
//!
//! ```text
//! | super block | contents of files ... | inodes, tails, maps of chunks ... | directories ... |
//! ```
//!
//! Nothing is compressed, so that guests map pages of the host's cache's size and shape; blocks
//! have 4096 bytes. An image depends on nothing but what it holds: the same files make the same
//! bytes.

mod data;
mod directory;
mod layout;
mod plan;
mod tree;
mod write;
mod xattr;

use std::fs::File;
use std::io;

pub(crate) use data::DataArea;
pub(crate) use layout::MAX_NAME;
pub(crate) use tree::{Attributes, DeviceNumber, Inode, InodeId, Kind, Tree};
pub use xattr::XattrError;
pub(crate) use xattr::Xattrs;

/// Bytes of small files and ends of files that are kept in memory, to be written beside their
/// inodes. Those of further files get blocks of their own.
const TAIL_BUDGET: u64 = 64 << 20;

/// An image that is being written.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    out: &'a File,
    pub(crate) data: DataArea<'a>,
    pub(crate) tree: Tree,
}

impl<'a> Image<'a> {
    /// An image in `out`, whose former contents are gone.
    pub(crate) fn new(out: &'a File) -> io::Result<Self> {
        out.set_len(0)?;
        let root = Attributes { permissions: 0o755, ..Attributes::default() };
        Ok(Self { out, data: DataArea::new(out, TAIL_BUDGET), tree: Tree::new(root) })
    }

    /// Writes everything but the contents of files, which are there. Makes nothing durable.
    pub(crate) fn finish(self, uuid: [u8; 16]) -> io::Result<()> {
        let start = self.data.finish()?;
        write::metadata(self.out, &self.tree, start, uuid)
    }
}
