//! Writing inodes, directories and the super block.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::data::{Contents, Run};
use super::directory;
use super::layout::{
    BLOCK, BLOCK_BITS, COMPAT_MTIME, HOLE, INCOMPAT_CHUNKED_FILE, Inode, MAGIC, SUPER_OFFSET,
    SuperBlock,
};
use super::plan::{Place, Plan};
use super::tree::{Kind, Tree};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// Writes all of `tree` to the block `start` of `out` and behind it, then the super block.
pub(super) fn metadata(out: &File, tree: &Tree, start: u32, uuid: [u8; 16]) -> io::Result<()> {
    let plan = Plan::new(tree);
    let blocks_at = u64::from(start) + plan.inode_blocks();
    let blocks = block_number(blocks_at + plan.blocks())?;
    out.set_len(u64::from(blocks) * BLOCK)?;
    let mut sink = Sequential::new(out)?;
    let mut buffer = Vec::new();
    for place in &plan.places {
        sink.go_to(u64::from(start) * BLOCK + place.offset)?;
        let own_block = block_number(blocks_at + place.block)?;
        let inode = tree.inode(place.inode);
        sink.write(on_disk(tree, &plan, place, own_block).as_bytes())?;
        sink.write(inode.attributes.xattrs.as_bytes())?;
        match &inode.kind {
            Kind::File(Contents::Plain { tail, .. }) => sink.write(tail)?,
            Kind::File(Contents::Chunks { size, bits, runs }) => {
                chunk_map(&mut sink, size.div_ceil(BLOCK << bits), *bits, runs)?;
            }
            _ => sink.write(own_data(tree, &plan, place, &mut buffer).1)?,
        }
    }
    for place in plan.places.iter().filter(|place| place.has_own_blocks(tree)) {
        sink.go_to((blocks_at + place.block) * BLOCK)?;
        sink.write(own_data(tree, &plan, place, &mut buffer).0)?;
    }
    let root = plan.places.first().map(Place::nid).unwrap_or_default();
    let inodes = plan.places.len() as u64;
    sink.go_to(u64::from(blocks) * BLOCK)?;
    sink.finish(&super_block(start, blocks, root, inodes, uuid))
}

/// What a directory or symbolic link has in blocks, and what behind its inode. Others have
/// nothing of their own.
fn own_data<'a>(
    tree: &'a Tree,
    plan: &Plan,
    place: &Place,
    buffer: &'a mut Vec<u8>,
) -> (&'a [u8], &'a [u8]) {
    buffer.clear();
    match &tree.inode(place.inode).kind {
        Kind::Directory(_) => {
            let entries = directory::entries(tree, place.inode, place.parent);
            directory::encode(&entries, tree, |id| plan.nid(id), buffer);
        }
        Kind::Symlink(target) => buffer.extend_from_slice(target),
        _ => {}
    }
    let in_blocks = usize::try_from(place.in_blocks()).unwrap_or(usize::MAX);
    buffer.split_at(in_blocks.min(buffer.len()))
}

fn on_disk(tree: &Tree, plan: &Plan, place: &Place, own_block: u32) -> Inode {
    let inode = tree.inode(place.inode);
    let attributes = &inode.attributes;
    let (kind, data) = match &inode.kind {
        Kind::Directory(_) => (file_type::DIRECTORY, own_block),
        Kind::Symlink(_) => (file_type::SYMLINK, own_block),
        Kind::File(Contents::Plain { block, .. }) => (file_type::FILE, *block),
        Kind::File(Contents::Chunks { bits, .. }) => (file_type::FILE, u32::from(*bits)),
        Kind::CharDevice(number) => (file_type::CHAR_DEVICE, number.encoded()),
        Kind::BlockDevice(number) => (file_type::BLOCK_DEVICE, number.encoded()),
        Kind::Fifo => (file_type::FIFO, 0),
    };
    Inode {
        format: Inode::format(place.layout),
        xattr_units: attributes.xattrs.units().into(),
        mode: (kind | attributes.permissions & 0o7777).into(),
        reserved: 0.into(),
        size: place.size.into(),
        place: data.into(),
        number: u32::try_from(place.nid()).unwrap_or(u32::MAX).into(),
        uid: attributes.uid.into(),
        gid: attributes.gid.into(),
        mtime: attributes.mtime.cast_unsigned().into(),
        mtime_nanos: attributes.mtime_nanos.into(),
        links: plan.links(place.inode).into(),
        reserved2: [0; 16],
    }
}

/// The high bits of a mode.
mod file_type {
    pub(super) const FIFO: u16 = 0o010_000;
    pub(super) const CHAR_DEVICE: u16 = 0o020_000;
    pub(super) const DIRECTORY: u16 = 0o040_000;
    pub(super) const BLOCK_DEVICE: u16 = 0o060_000;
    pub(super) const FILE: u16 = 0o100_000;
    pub(super) const SYMLINK: u16 = 0o120_000;
}

/// The first block of each chunk.
fn chunk_map(sink: &mut Sequential<'_>, chunks: u64, bits: u8, runs: &[Run]) -> io::Result<()> {
    let mut next = 0;
    let hole = |count: u64| std::iter::repeat_n(HOLE, usize::try_from(count).unwrap_or(0));
    for run in runs {
        let blocks = (0..run.count).map(|n| run.block.wrapping_add((n << bits) as u32));
        for block in hole(run.chunk.saturating_sub(next)).chain(blocks) {
            sink.write(U32::new(block).as_bytes())?;
        }
        next = run.chunk + run.count;
    }
    hole(chunks.saturating_sub(next)).try_for_each(|block| sink.write(U32::new(block).as_bytes()))
}

fn super_block(start: u32, blocks: u32, root: u64, inodes: u64, uuid: [u8; 16]) -> SuperBlock {
    SuperBlock {
        magic: MAGIC.into(),
        checksum: 0.into(),
        feature_compat: COMPAT_MTIME.into(),
        block_bits: BLOCK_BITS,
        extra_slots: 0,
        // The root is the first inode.
        root_nid: u16::try_from(root).unwrap_or_default().into(),
        inodes: inodes.into(),
        build_time: 0.into(),
        build_time_nanos: 0.into(),
        blocks: blocks.into(),
        meta_block: start.into(),
        xattr_block: 0.into(),
        uuid,
        volume_name: [0; 16],
        feature_incompat: INCOMPAT_CHUNKED_FILE.into(),
        compression: 0.into(),
        extra_devices: 0.into(),
        device_table: 0.into(),
        directory_block_bits: 0,
        xattr_prefixes: 0,
        xattr_prefix_start: 0.into(),
        packed_nid: 0.into(),
        reserved: [0; 24],
    }
}

fn block_number(block: u64) -> io::Result<u32> {
    u32::try_from(block).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Writes pieces in ascending order of their places, with zeroes between them.
struct Sequential<'a> {
    out: BufWriter<&'a File>,
    position: u64,
}

impl<'a> Sequential<'a> {
    fn new(out: &'a File) -> io::Result<Self> {
        let out = BufWriter::with_capacity(BUFFER, out);
        Ok(Self { out, position: u64::MAX })
    }

    fn go_to(&mut self, position: u64) -> io::Result<()> {
        match position.checked_sub(self.position) {
            Some(gap) if gap < BLOCK => {
                self.out.write_all([0; BLOCK as usize].get(..gap as usize).unwrap_or_default())?;
            }
            _ => drop(self.out.seek(SeekFrom::Start(position))?),
        }
        self.position = position;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Writes the super block last: before it there is no file system.
    fn finish(mut self, super_block: &SuperBlock) -> io::Result<()> {
        self.go_to(SUPER_OFFSET)?;
        self.write(super_block.as_bytes())?;
        self.out.flush()
    }
}
