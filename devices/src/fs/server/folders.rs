//! Folders that are open.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fs::{FileType, OFlags, RawDir, SeekFrom, fsync, seek};
use rustix::io::Errno;
use zerocopy::IntoBytes;

use super::{Answer, Call, Server};
use crate::fs::handle::OpenFolder;
use crate::fs::protocol::{Dirent, EntryOut, FsyncIn, OpenOut, OpenedFlags, ROOT, ReadIn};
use crate::fs::share::Cache;

/// Bytes of entries that are taken from the host at a time.
const SCRATCH: usize = 32 << 10;
/// Bytes of entries in one answer at most.
const MAX_ANSWER: usize = 256 << 10;

/// An entry as the host gives it.
struct Found<'a> {
    name: &'a CStr,
    ino: u64,
    kind: FileType,
    /// Where the next one is.
    next: u64,
}

/// Entries that were read so far, and the room for more.
struct Listing {
    bytes: Vec<u8>,
    limit: usize,
    /// Whether they are looked up as well.
    plus: bool,
}

impl Server {
    pub(super) fn opendir(&mut self, call: Call) -> Result<Answer, Errno> {
        let fd = match self.single_file(call.node) {
            Some(_) => None,
            None => {
                let folder = self.nodes.folder(call.node)?;
                Some(self.reopen(folder, OFlags::RDONLY | OFlags::DIRECTORY)?)
            }
        };
        let fh = self.handles.add_folder(OpenFolder { fd, position: Some(0) });
        let flags = match self.share.options.cache {
            Cache::None | Cache::Auto => OpenedFlags::empty(),
            Cache::Always => OpenedFlags::KEEP_CACHE | OpenedFlags::CACHE_DIR,
        };
        Ok(Answer::of(&OpenOut { fh, flags: flags.bits(), padding: 0 }))
    }

    pub(super) fn readdir(&mut self, mut call: Call, plus: bool) -> Result<Answer, Errno> {
        let ReadIn { fh, offset, size, .. } = call.arguments.take()?;
        let limit = (size as usize).min(call.room.len()).min(MAX_ANSWER);
        let mut listing = Listing { bytes: Vec::with_capacity(limit), limit, plus };
        let mut folder = self.handles.take_folder(fh)?;
        let result = match &folder.fd {
            Some(_) => self.list(&mut folder, call.node, offset, &mut listing),
            None => self.list_single(call.node, offset, &mut listing),
        };
        self.handles.put_back(fh, folder);
        result?;
        let count = call.room.copy_from(&listing.bytes).map_err(|_| Errno::FAULT)?;
        Ok(Answer::Filled(count))
    }

    fn list(
        &mut self,
        folder: &mut OpenFolder,
        node: u64,
        offset: u64,
        listing: &mut Listing,
    ) -> Result<(), Errno> {
        let OpenFolder { fd: Some(fd), position } = folder else { return Err(Errno::NOTDIR) };
        if position.take() != Some(offset) {
            // Not every number is a place in a folder; the file system decides.
            i64::try_from(offset).map_err(|_| Errno::INVAL)?;
            seek(&*fd, SeekFrom::Start(offset))?;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(SCRATCH, MaybeUninit::uninit());
        let mut entries = RawDir::new(&*fd, &mut scratch);
        let mut last = offset;
        let result = loop {
            let entry = match entries.next() {
                None => break Ok(true),
                Some(Err(error)) => break Err(error),
                Some(Ok(entry)) => entry,
            };
            let found = Found {
                name: entry.file_name(),
                ino: entry.ino(),
                kind: entry.file_type(),
                next: entry.next_entry_cookie(),
            };
            if !listing.fits(found.name) {
                break Ok(false);
            }
            last = found.next;
            self.add(node, &found, listing);
        };
        self.scratch = scratch;
        match result {
            Ok(true) => *position = Some(last),
            // More was taken from the host than the guest had room for.
            Ok(false) if listing.bytes.is_empty() => return Err(Errno::INVAL),
            Ok(false) => {}
            Err(error) if listing.bytes.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// The folder around a single file.
    fn list_single(&mut self, node: u64, from: u64, listing: &mut Listing) -> Result<(), Errno> {
        let Some((name, _)) = self.single_file(node) else { return Err(Errno::NOTDIR) };
        let name = name.to_owned();
        let entries = [
            (c".", FileType::Directory),
            (c"..", FileType::Directory),
            (name.as_c_str(), FileType::RegularFile),
        ];
        for ((name, kind), next) in entries.into_iter().zip(1..).skip(from.min(3) as usize) {
            if !listing.fits(name) {
                break;
            }
            self.add(node, &Found { name, ino: ROOT, kind, next }, listing);
        }
        Ok(())
    }

    /// Adds an entry that fits.
    fn add(&mut self, folder: u64, found: &Found<'_>, listing: &mut Listing) {
        let is_dots = matches!(found.name.to_bytes(), b"." | b"..");
        if listing.plus {
            // One that went meanwhile, or for which there is no room any more, is a name only.
            let entry = (!is_dots).then(|| self.lookup_name(folder, found.name).ok()).flatten();
            listing.bytes.extend_from_slice(entry.unwrap_or(EntryOut::default()).as_bytes());
        }
        listing.push(found);
    }

    pub(super) fn fsyncdir(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let FsyncIn { fh, .. } = call.arguments.take()?;
        if let Some(fd) = self.handles.folder(fh)? {
            fsync(fd)?;
        }
        Ok(Answer::Empty)
    }
}

impl Listing {
    fn fits(&self, name: &CStr) -> bool {
        let entry = if self.plus { size_of::<EntryOut>() } else { 0 };
        let dirent = (size_of::<Dirent>() + name.count_bytes()).next_multiple_of(8);
        self.bytes.len() + entry + dirent <= self.limit
    }

    fn push(&mut self, found: &Found<'_>) {
        let name = found.name.to_bytes();
        let dirent = Dirent {
            ino: found.ino,
            offset: found.next,
            // At most 255.
            name_len: name.len() as u32,
            // As in directory entries: the type's bits of a mode, moved down (DT_…).
            kind: found.kind.as_raw_mode() >> 12,
        };
        self.bytes.extend_from_slice(dirent.as_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }
}
