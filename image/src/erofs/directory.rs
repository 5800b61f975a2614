//! The blocks of a directory: in each, entries sorted by name, and the names behind them.

use zerocopy::IntoBytes;

use super::layout::{BLOCK, DirEntry};
use super::tree::{InodeId, Kind, Tree};

/// An entry, with `.` and `..` among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: InodeId,
}

impl Entry<'_> {
    fn len(&self) -> u64 {
        (size_of::<DirEntry>() + self.name.len()) as u64
    }
}

/// All entries of `directory`, in the order of their bytes, by which Linux searches them.
pub(super) fn entries(tree: &Tree, directory: InodeId, parent: InodeId) -> Vec<Entry<'_>> {
    let children = tree.entries(directory).into_iter().flatten();
    let mut entries: Vec<_> = children.map(|(name, inode)| Entry { name, inode: *inode }).collect();
    entries.push(Entry { name: b".", inode: directory });
    entries.push(Entry { name: b"..", inode: parent });
    entries.sort_unstable();
    entries
}

/// How many of `entries` the next block holds, and the bytes that they fill.
fn next_block(entries: &[Entry<'_>]) -> (usize, u64) {
    let mut used = 0;
    for (count, entry) in entries.iter().enumerate() {
        if used + entry.len() > BLOCK {
            return (count, used);
        }
        used += entry.len();
    }
    (entries.len(), used)
}

/// Length of the directory: whole blocks, and what the last one holds.
pub(super) fn len(mut entries: &[Entry<'_>]) -> u64 {
    let mut len = 0;
    loop {
        let (count, used) = next_block(entries);
        entries = entries.get(count..).unwrap_or_default();
        if entries.is_empty() {
            return len + used;
        }
        len += BLOCK;
    }
}

/// The directory's bytes, as many as [`len`] says. `nid` gives the numbers of inodes.
pub(super) fn encode(
    mut entries: &[Entry<'_>],
    tree: &Tree,
    nid: impl Fn(InodeId) -> u64,
    out: &mut Vec<u8>,
) {
    while !entries.is_empty() {
        let (block, rest) = entries.split_at(next_block(entries).0);
        entries = rest;
        let start = out.len();
        let mut name_at = block.len() * size_of::<DirEntry>();
        for entry in block {
            let on_disk = DirEntry {
                nid: nid(entry.inode).into(),
                // Within a block.
                name_offset: u16::try_from(name_at).unwrap_or(u16::MAX).into(),
                file_type: file_type(&tree.inode(entry.inode).kind),
                reserved: 0,
            };
            out.extend_from_slice(on_disk.as_bytes());
            name_at += entry.name.len();
        }
        block.iter().for_each(|entry| out.extend_from_slice(entry.name));
        if !entries.is_empty() {
            out.resize(start + BLOCK as usize, 0);
        }
    }
}

/// The kind of a file as entries have it (Linux's `FT_*`).
fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Directory(_) => 2,
        Kind::CharDevice(_) => 3,
        Kind::BlockDevice(_) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}
