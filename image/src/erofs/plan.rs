//! Where inodes and directories go.

use std::collections::VecDeque;

use super::data::Contents;
use super::directory;
use super::layout::{BLOCK, DataLayout, Inode, SLOT};
use super::tree::{InodeId, Kind, Tree};

/// The first inode's number. 0 would be a deleted entry to some programs.
const FIRST_NID: u64 = 1;
/// A directory's last, partial block goes behind its inode up to this length.
const MAX_DIRECTORY_TAIL: u64 = 2048;

/// An inode's place, and the shape of what belongs to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) inode: InodeId,
    /// Byte from the start of the inodes' area.
    pub(super) offset: u64,
    pub(super) layout: DataLayout,
    /// The file's length.
    pub(super) size: u64,
    /// For what is written to the blocks behind the inodes (directories, long symbolic links): the
    /// first of them, counted from there.
    pub(super) block: u64,
    /// The directory that a directory is in.
    pub(super) parent: InodeId,
}

impl Place {
    /// The inode's number.
    pub(super) fn nid(&self) -> u64 {
        self.offset / SLOT
    }

    /// How much of the data is in the blocks behind the inodes.
    pub(super) fn in_blocks(&self) -> u64 {
        if self.layout == DataLayout::Inline { self.size - self.size % BLOCK } else { self.size }
    }

    /// Whether it has any there. What regular files have in blocks was written before.
    pub(super) fn has_own_blocks(&self, tree: &Tree) -> bool {
        let kind = &tree.inode(self.inode).kind;
        matches!(kind, Kind::Directory(_) | Kind::Symlink(_)) && self.in_blocks() > 0
    }
}

/// Where everything goes that is in the tree.
#[derive(Debug)]
pub(super) struct Plan {
    /// In ascending order of offsets; the root is the first.
    pub(super) places: Vec<Place>,
    /// Numbers and link counts by [`InodeId::index`].
    numbers: Vec<Option<u64>>,
    links: Vec<u32>,
    /// Bytes of the inodes' area so far.
    end: u64,
    /// Blocks behind it so far.
    blocks: u64,
}

impl Plan {
    /// Places what can be reached from the root, a directory's entries side by side.
    pub(super) fn new(tree: &Tree) -> Self {
        let mut plan = Self {
            places: Vec::with_capacity(tree.len()),
            numbers: vec![None; tree.len()],
            links: vec![0; tree.len()],
            end: FIRST_NID * SLOT,
            blocks: 0,
        };
        let mut directories = VecDeque::from([Tree::ROOT]);
        plan.place(tree, Tree::ROOT, Tree::ROOT);
        plan.link(Tree::ROOT, 2);
        while let Some(parent) = directories.pop_front() {
            for id in tree.entries(parent).into_iter().flatten().map(|(_, id)| *id) {
                if plan.numbers.get(id.index()).copied().flatten().is_none() {
                    plan.place(tree, id, parent);
                    if tree.inode(id).is_directory() {
                        plan.link(id, 1);
                        directories.push_back(id);
                    }
                }
                plan.link(id, 1);
                if tree.inode(id).is_directory() {
                    plan.link(parent, 1);
                }
            }
        }
        plan
    }

    /// The number of an inode that was placed.
    pub(super) fn nid(&self, id: InodeId) -> u64 {
        self.numbers.get(id.index()).copied().flatten().unwrap_or_default()
    }

    /// How many entries name an inode.
    pub(super) fn links(&self, id: InodeId) -> u32 {
        self.links.get(id.index()).copied().unwrap_or_default()
    }

    /// Blocks of the inodes' area.
    pub(super) fn inode_blocks(&self) -> u64 {
        self.end.div_ceil(BLOCK)
    }

    /// Blocks behind it.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    fn link(&mut self, id: InodeId, count: u32) {
        if let Some(links) = self.links.get_mut(id.index()) {
            *links = links.saturating_add(count);
        }
    }

    fn place(&mut self, tree: &Tree, id: InodeId, parent: InodeId) {
        let inode = tree.inode(id);
        let head = Inode::SIZE + inode.attributes.xattrs.len();
        let room = BLOCK.saturating_sub(head);
        // What follows the inode and must be in one block with it, or not.
        let (layout, size, behind) = match &inode.kind {
            Kind::Directory(_) => {
                let size = directory::len(&directory::entries(tree, id, parent));
                in_blocks_or_behind(size, room.min(MAX_DIRECTORY_TAIL))
            }
            Kind::Symlink(target) => in_blocks_or_behind(target.len() as u64, room),
            Kind::File(Contents::Plain { size, tail, .. }) if !tail.is_empty() => {
                (DataLayout::Inline, *size, tail.len() as u64)
            }
            Kind::File(contents @ Contents::Chunks { size, .. }) => {
                (DataLayout::Chunks, *size, contents.map_len())
            }
            Kind::File(contents) => (DataLayout::Plain, contents.size(), 0),
            _ => (DataLayout::Plain, 0, 0),
        };
        let together = if layout == DataLayout::Inline { head + behind } else { Inode::SIZE };
        let mut offset = self.end.next_multiple_of(SLOT);
        if offset % BLOCK + together > BLOCK {
            offset = offset.next_multiple_of(BLOCK);
        }
        self.end = offset + head + behind;
        let place = Place { inode: id, offset, layout, size, block: self.blocks, parent };
        if place.has_own_blocks(tree) {
            self.blocks += place.in_blocks().div_ceil(BLOCK);
        }
        if let Some(number) = self.numbers.get_mut(id.index()) {
            *number = Some(place.nid());
        }
        self.places.push(place);
    }
}

/// Layout, size and bytes behind the inode of data that could be in either place.
fn in_blocks_or_behind(size: u64, room: u64) -> (DataLayout, u64, u64) {
    match size % BLOCK {
        0 => (DataLayout::Plain, size, 0),
        tail if tail <= room => (DataLayout::Inline, size, tail),
        _ => (DataLayout::Plain, size, 0),
    }
}
