//! Files of an archive, entered into an image one after the other.
//!
//! Names are only ever looked up in the tree that is being made: no link is followed, and nothing
//! of the host is touched.

use std::collections::HashSet;

use super::error::{EntryError, shown};
use super::tar::{Archive, Entry, EntryKind, Sparse};
use super::{ImportError, Limits, path};
use crate::erofs::{Attributes, DeviceNumber, Image, Inode, InodeId, Kind, Tree, Xattrs};

/// Begins the name of a file that hides the one whose name follows, in lower layers.
const WHITEOUT: &[u8] = b".wh.";
/// The file that hides all that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Begins names of other files of aufs, which mean nothing here.
const AUFS: &[u8] = b".wh..wh.";
/// What overlayfs keeps for itself: not for images to say.
const OVERLAY: &[u8] = b"trusted.overlay.";
/// Longest target of a symbolic link: a page with its NUL.
const MAX_TARGET: usize = 4095;
/// Longest file, as the usual file systems have it.
const MAX_SIZE: u64 = 16 << 40;
/// What an inode takes in memory, beside what is counted apart.
const INODE_COST: u64 = 128;
/// What a name takes in memory, beside its bytes.
const NAME_COST: u64 = 48;

/// Enters files into an image.
pub(super) struct Files<'i, 'f> {
    image: &'i mut Image<'f>,
    limits: &'i Limits,
    /// Directories that hide those of lower layers.
    opaque: HashSet<InodeId>,
    /// The one inode of all whiteouts.
    whiteout: Option<InodeId>,
    entries: u64,
    metadata: u64,
}

impl<'i, 'f> Files<'i, 'f> {
    pub(super) fn new(image: &'i mut Image<'f>, limits: &'i Limits) -> Self {
        let (opaque, whiteout) = (HashSet::new(), None);
        Self { image, limits, opaque, whiteout, entries: 0, metadata: 0 }
    }

    /// Enters all of `archive`; returns how many files there are.
    pub(super) fn add_all(mut self, archive: &mut Archive<'_, '_>) -> Result<u64, ImportError> {
        while let Some(entry) = archive.next()? {
            let at = |source| ImportError::Entry { path: shown(&entry.path), source };
            let names = path::names(&entry.path, self.limits.depth).map_err(at)?;
            match names.split_last() {
                None => self.root(&entry)?,
                Some((name, parents)) => {
                    let parent = self.directory(parents, &entry)?;
                    match name.strip_prefix(WHITEOUT) {
                        Some(hidden) => self.whiteout(parent, name, hidden, &entry)?,
                        None => self.add(parent, name, &entry, archive)?,
                    }
                }
            }
        }
        for id in self.opaque {
            let attributes = &mut self.image.tree.inode_mut(id).attributes;
            let added = attributes.xattrs.add(b"trusted.overlay.opaque", b"y");
            added.map_err(|e| ImportError::Entry { path: shown(OPAQUE), source: e.into() })?;
        }
        Ok(self.entries)
    }

    fn root(&mut self, entry: &Entry) -> Result<(), ImportError> {
        if !matches!(entry.kind, EntryKind::Directory) {
            return Err(failed(entry, EntryError::Root));
        }
        let attributes = self.attributes(entry)?;
        self.image.tree.inode_mut(Tree::ROOT).attributes = attributes;
        Ok(())
    }

    /// The directory with these names; what is missing of it is made.
    fn directory(&mut self, names: &[&[u8]], entry: &Entry) -> Result<InodeId, ImportError> {
        let mut at = Tree::ROOT;
        for name in names {
            at = match self.image.tree.child(at, name) {
                Some(id) if self.image.tree.inode(id).is_directory() => id,
                Some(id) if !self.image.tree.inode(id).is_whiteout() => {
                    return Err(failed(entry, EntryError::NotADirectory(shown(name))));
                }
                _ => {
                    let attributes = Attributes { permissions: 0o755, ..Attributes::default() };
                    let kind = Kind::Directory(Default::default());
                    self.enter(at, name, Inode { attributes, kind })?
                }
            };
        }
        Ok(at)
    }

    /// Hides `hidden` of lower layers in `parent`, or all of it.
    fn whiteout(
        &mut self,
        parent: InodeId,
        name: &[u8],
        hidden: &[u8],
        entry: &Entry,
    ) -> Result<(), ImportError> {
        if name == OPAQUE {
            self.opaque.insert(parent);
            return Ok(());
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(failed(entry, EntryError::Whiteout(shown(hidden))));
        }
        match self.image.tree.child(parent, hidden) {
            // What the layer has itself is not hidden, but stands before what lower ones have.
            Some(id) if self.image.tree.inode(id).is_directory() => {
                self.opaque.insert(id);
                Ok(())
            }
            Some(_) => Ok(()),
            None => {
                let whiteout = match self.whiteout {
                    Some(id) => id,
                    None => self.image.tree.add(Inode::whiteout()),
                };
                self.whiteout = Some(whiteout);
                self.link(parent, hidden, whiteout)
            }
        }
    }

    fn add(
        &mut self,
        parent: InodeId,
        name: &[u8],
        entry: &Entry,
        archive: &mut Archive<'_, '_>,
    ) -> Result<(), ImportError> {
        let before = self.image.tree.child(parent, name);
        if matches!(entry.kind, EntryKind::HardLink) {
            let target = self.target(entry)?;
            return self.link(parent, name, target);
        }
        let mut attributes = self.attributes(entry)?;
        if matches!(entry.kind, EntryKind::Symlink) {
            // On Linux it has no other, whatever the archive says.
            attributes.permissions = 0o777;
        }
        if let (EntryKind::Directory, Some(id)) = (&entry.kind, before)
            && self.image.tree.inode(id).is_directory()
        {
            self.image.tree.inode_mut(id).attributes = attributes;
            return Ok(());
        }
        let kind = self.kind(entry, &attributes, archive)?;
        self.enter(parent, name, Inode { attributes, kind })?;
        Ok(())
    }

    fn kind(
        &mut self,
        entry: &Entry,
        attributes: &Attributes,
        archive: &mut Archive<'_, '_>,
    ) -> Result<Kind, ImportError> {
        let device = |major, minor| {
            let number = DeviceNumber::new(major, minor);
            number.ok_or_else(|| failed(entry, EntryError::Device { major, minor }))
        };
        Ok(match &entry.kind {
            EntryKind::File(size) => self.file(entry, *size, attributes, archive)?,
            EntryKind::Sparse(sparse) => self.sparse_file(entry, sparse, archive)?,
            EntryKind::Symlink => {
                if !(1..=MAX_TARGET).contains(&entry.link.len()) {
                    return Err(failed(entry, EntryError::SymlinkLength(entry.link.len())));
                }
                self.count_metadata(entry.link.len() as u64)?;
                Kind::Symlink(entry.link.clone().into())
            }
            EntryKind::CharDevice { major, minor } => Kind::CharDevice(device(*major, *minor)?),
            EntryKind::BlockDevice { major, minor } => Kind::BlockDevice(device(*major, *minor)?),
            EntryKind::Directory => Kind::Directory(Default::default()),
            EntryKind::Fifo => Kind::Fifo,
            EntryKind::Unknown(kind) => {
                return Err(failed(entry, EntryError::Kind(char::from(*kind))));
            }
            // It has no inode of its own.
            EntryKind::HardLink => return Err(failed(entry, EntryError::Kind('1'))),
        })
    }

    fn file(
        &mut self,
        entry: &Entry,
        size: u64,
        attributes: &Attributes,
        archive: &mut Archive<'_, '_>,
    ) -> Result<Kind, ImportError> {
        check_size(entry, size)?;
        let xattrs = attributes.xattrs.len();
        let mut writer = self.image.data.file(size, xattrs).map_err(ImportError::Write)?;
        loop {
            let piece = archive.fill()?;
            if piece.is_empty() {
                return Ok(Kind::File(writer.finish()));
            }
            writer.write(piece).map_err(ImportError::Write)?;
            let len = piece.len();
            archive.consume(len);
        }
    }

    fn sparse_file(
        &mut self,
        entry: &Entry,
        sparse: &Sparse,
        archive: &mut Archive<'_, '_>,
    ) -> Result<Kind, ImportError> {
        check_size(entry, sparse.size)?;
        let mut writer = self.image.data.sparse_file(sparse.size).map_err(ImportError::Write)?;
        for range in &sparse.ranges {
            writer.seek(range.offset);
            let mut left = range.len;
            while left > 0 {
                let piece = archive.fill()?;
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                let Some(piece) = piece.get(..len).filter(|piece| !piece.is_empty()) else {
                    return Err(ImportError::Truncated);
                };
                writer.write(piece).map_err(ImportError::Write)?;
                archive.consume(len);
                left -= len as u64;
            }
        }
        let contents = writer.finish();
        self.count_metadata(contents.map_len())?;
        Ok(Kind::File(contents))
    }

    /// The file that a hard link names.
    fn target(&self, entry: &Entry) -> Result<InodeId, ImportError> {
        let names = path::names(&entry.link, self.limits.depth).map_err(|e| failed(entry, e))?;
        let tree = &self.image.tree;
        let found = names.iter().try_fold(Tree::ROOT, |at, name| tree.child(at, name));
        match found.map(|id| (id, tree.inode(id))) {
            Some((_, inode)) if inode.is_directory() => {
                Err(failed(entry, EntryError::DirectoryTarget(shown(&entry.link))))
            }
            Some((id, inode)) if !inode.is_whiteout() => Ok(id),
            _ => Err(failed(entry, EntryError::NoTarget(shown(&entry.link)))),
        }
    }

    fn attributes(&mut self, entry: &Entry) -> Result<Attributes, ImportError> {
        let kept = entry.xattrs.iter().filter(|(name, _)| !name.starts_with(OVERLAY));
        let xattrs = Xattrs::new(kept).map_err(|e| failed(entry, e.into()))?;
        self.count_metadata(xattrs.len())?;
        let id = |id: i64| {
            u32::try_from(id).map_err(|_| ImportError::Damaged("a user or group id is no number"))
        };
        Ok(Attributes {
            permissions: entry.permissions,
            uid: id(entry.uid)?,
            gid: id(entry.gid)?,
            mtime: entry.mtime,
            mtime_nanos: entry.mtime_nanos,
            xattrs,
        })
    }

    /// Enters a new inode, instead of what was there. A directory in the place of a whiteout hides
    /// what the whiteout hid.
    fn enter(
        &mut self,
        parent: InodeId,
        name: &[u8],
        inode: Inode,
    ) -> Result<InodeId, ImportError> {
        let tree = &mut self.image.tree;
        let hides = tree.child(parent, name).is_some_and(|id| tree.inode(id).is_whiteout());
        let is_directory = inode.is_directory();
        let id = tree.add(inode);
        if hides && is_directory {
            self.opaque.insert(id);
        }
        self.count_metadata(INODE_COST)?;
        self.link(parent, name, id)?;
        Ok(id)
    }

    fn link(&mut self, parent: InodeId, name: &[u8], id: InodeId) -> Result<(), ImportError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ImportError::TooManyEntries(self.limits.entries));
        }
        self.count_metadata(NAME_COST + name.len() as u64)?;
        self.image.tree.enter(parent, name, id);
        Ok(())
    }

    fn count_metadata(&mut self, bytes: u64) -> Result<(), ImportError> {
        self.metadata = self.metadata.saturating_add(bytes);
        if self.metadata > self.limits.metadata {
            return Err(ImportError::TooMuchMetadata(self.limits.metadata));
        }
        Ok(())
    }
}

fn check_size(entry: &Entry, size: u64) -> Result<(), ImportError> {
    if size > MAX_SIZE { Err(failed(entry, EntryError::Size(size))) } else { Ok(()) }
}

fn failed(entry: &Entry, source: EntryError) -> ImportError {
    ImportError::Entry { path: shown(&entry.path), source }
}
