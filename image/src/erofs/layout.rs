//! Structures on disk, as Linux 6.1 reads them (`fs/erofs/erofs_fs.h`,
//! `Documentation/filesystems/erofs.rst`).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a block. Larger than a guest's page cannot be mounted.
pub(super) const BLOCK: u64 = 4096;
/// log2 of [`BLOCK`].
pub(super) const BLOCK_BITS: u8 = 12;
/// Inodes lie at multiples of this many bytes, and are numbered in them.
pub(super) const SLOT: u64 = 32;
/// Where the super block is.
pub(super) const SUPER_OFFSET: u64 = 1024;
/// What it begins with.
pub(super) const MAGIC: u32 = 0xe0f5_e1e2;
/// Times are those of the last modification.
pub(super) const COMPAT_MTIME: u32 = 0x2;
/// There are files in chunks: Linux 5.15 or later.
pub(super) const INCOMPAT_CHUNKED_FILE: u32 = 0x4;
/// The address of a chunk that is a hole.
pub(super) const HOLE: u32 = u32::MAX;
/// Longest name of a directory's entry, or of an extended attribute without its prefix.
pub(crate) const MAX_NAME: usize = 255;

/// The super block.
#[derive(IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct SuperBlock {
    pub(super) magic: U32,
    pub(super) checksum: U32,
    pub(super) feature_compat: U32,
    pub(super) block_bits: u8,
    pub(super) extra_slots: u8,
    pub(super) root_nid: U16,
    pub(super) inodes: U64,
    pub(super) build_time: U64,
    pub(super) build_time_nanos: U32,
    pub(super) blocks: U32,
    pub(super) meta_block: U32,
    pub(super) xattr_block: U32,
    pub(super) uuid: [u8; 16],
    pub(super) volume_name: [u8; 16],
    pub(super) feature_incompat: U32,
    pub(super) compression: U16,
    pub(super) extra_devices: U16,
    pub(super) device_table: U16,
    pub(super) directory_block_bits: u8,
    pub(super) xattr_prefixes: u8,
    pub(super) xattr_prefix_start: U32,
    pub(super) packed_nid: U64,
    pub(super) reserved: [u8; 24],
}

/// Where an inode's data is: bits 1 to 3 of [`Inode::format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataLayout {
    /// Blocks, one behind the other.
    Plain = 0,
    /// The same, and what does not fill a block lies behind the inode, in the inode's block.
    Inline = 2,
    /// Chunks: their addresses lie behind the inode.
    Chunks = 4,
}

/// An inode in the long form, of two slots. Its extended attributes lie behind it.
#[derive(IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Inode {
    pub(super) format: U16,
    pub(super) xattr_units: U16,
    pub(super) mode: U16,
    pub(super) reserved: U16,
    pub(super) size: U64,
    /// First block, device number or format of chunks.
    pub(super) place: U32,
    pub(super) number: U32,
    pub(super) uid: U32,
    pub(super) gid: U32,
    pub(super) mtime: U64,
    pub(super) mtime_nanos: U32,
    pub(super) links: U32,
    pub(super) reserved2: [u8; 16],
}

impl Inode {
    /// Bytes of an inode itself.
    pub(super) const SIZE: u64 = size_of::<Self>() as u64;

    /// The format of a long inode.
    pub(super) fn format(layout: DataLayout) -> U16 {
        (1 | (layout as u16) << 1).into()
    }
}

/// An entry of a directory. Its name lies behind all entries of the block.
#[derive(IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C, packed)]
pub(super) struct DirEntry {
    pub(super) nid: U64,
    pub(super) name_offset: U16,
    pub(super) file_type: u8,
    pub(super) reserved: u8,
}

/// What stands before an inode's extended attributes.
#[derive(IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct XattrHeader {
    pub(super) name_filter: U32,
    pub(super) shared: u8,
    pub(super) reserved: [u8; 7],
}

/// An extended attribute. The rest of its name and its value lie behind it, padded to four bytes.
#[derive(IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct XattrEntry {
    pub(super) name_len: u8,
    pub(super) prefix: u8,
    pub(super) value_len: U16,
}

const _: () = assert!(size_of::<SuperBlock>() == 128);
const _: () = assert!(size_of::<Inode>() == 64);
const _: () = assert!(size_of::<DirEntry>() == 12);
const _: () = assert!(size_of::<XattrHeader>() == 12);
const _: () = assert!(size_of::<XattrEntry>() == 4);
