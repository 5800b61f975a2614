//! The tree of files, in memory: all but the contents of regular files.

use std::collections::BTreeMap;

use super::data::Contents;
use super::xattr::Xattrs;

/// A name in a directory.
pub(crate) type Name = Box<[u8]>;

/// An inode of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct InodeId(u32);

impl InodeId {
    /// The inode's place in lists that have one entry for each.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What all kinds of files have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    /// Permission bits, with set-user-ID and the like: the low 12 bits of a mode.
    pub(crate) permissions: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970, which may be negative.
    pub(crate) mtime: i64,
    pub(crate) mtime_nanos: u32,
    pub(crate) xattrs: Xattrs,
}

/// What a file is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Directory(Directory),
    File(Contents),
    Symlink(Box<[u8]>),
    CharDevice(DeviceNumber),
    BlockDevice(DeviceNumber),
    Fifo,
}

/// The entries of a directory, but for `.` and `..`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) entries: BTreeMap<Name, InodeId>,
}

/// A device's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceNumber {
    major: u32,
    minor: u32,
}

impl DeviceNumber {
    /// The number of a whiteout: a character device that no driver has.
    pub(crate) const WHITEOUT: Self = Self { major: 0, minor: 0 };

    /// `None` if Linux has no such number: 12 and 20 bits.
    pub(crate) fn new(major: u64, minor: u64) -> Option<Self> {
        let in_range = major < 1 << 12 && minor < 1 << 20;
        let (major, minor) = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
        in_range.then_some(Self { major, minor })
    }

    /// As Linux has it on disks (`new_encode_dev`).
    pub(super) fn encoded(self) -> u32 {
        self.minor & 0xff | self.major << 8 | (self.minor & !0xff) << 12
    }
}

/// A file of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) attributes: Attributes,
    pub(crate) kind: Kind,
}

impl Inode {
    /// A file that hides the one of the same name in lower layers.
    pub(crate) fn whiteout() -> Self {
        let kind = Kind::CharDevice(DeviceNumber::WHITEOUT);
        Self { attributes: Attributes::default(), kind }
    }

    /// Whether it is one.
    pub(crate) fn is_whiteout(&self) -> bool {
        matches!(self.kind, Kind::CharDevice(DeviceNumber::WHITEOUT))
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }
}

/// A tree of files. It has a root always. What is replaced stays in it, and is not written.
#[derive(Debug)]
pub(crate) struct Tree {
    inodes: Vec<Inode>,
}

impl Tree {
    /// The directory that all others are in.
    pub(crate) const ROOT: InodeId = InodeId(0);

    /// A tree of an empty directory.
    pub(crate) fn new(root: Attributes) -> Self {
        let root = Inode { attributes: root, kind: Kind::Directory(Directory::default()) };
        Self { inodes: vec![root] }
    }

    /// How many inodes there are, replaced ones too.
    pub(crate) fn len(&self) -> usize {
        self.inodes.len()
    }

    pub(crate) fn inode(&self, id: InodeId) -> &Inode {
        // Ids come from `add` and from nowhere else.
        &self.inodes[id.index()]
    }

    pub(crate) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    /// The entries of a directory; `None` if it is none.
    pub(crate) fn entries(&self, id: InodeId) -> Option<&BTreeMap<Name, InodeId>> {
        match &self.inode(id).kind {
            Kind::Directory(directory) => Some(&directory.entries),
            _ => None,
        }
    }

    /// What a directory has under `name`.
    pub(crate) fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.entries(directory)?.get(name).copied()
    }

    /// Adds an inode that is in no directory yet.
    pub(crate) fn add(&mut self, inode: Inode) -> InodeId {
        let id = InodeId(u32::try_from(self.inodes.len()).unwrap_or(u32::MAX));
        self.inodes.push(inode);
        id
    }

    /// Enters an inode into a directory, instead of what was there under the name. Nothing happens
    /// if `directory` is none.
    pub(crate) fn enter(&mut self, directory: InodeId, name: &[u8], id: InodeId) {
        if let Kind::Directory(directory) = &mut self.inode_mut(directory).kind {
            directory.entries.insert(name.into(), id);
        }
    }
}
