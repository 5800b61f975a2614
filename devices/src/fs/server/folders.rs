//! Folders that are open.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fs::{FileType, OFlags, RawDir, SeekFrom, fsync, seek};
use rustix::io::Errno;
use zerocopy::IntoBytes;

use super::{Answer, Call, Server};
use crate::fs::handle::{Found, OpenFolder};
use crate::fs::protocol::{Dirent, EntryOut, FsyncIn, OpenOut, OpenedFlags, ROOT, ReadIn};
use crate::fs::share::Cache;

/// Bytes of entries that are taken from the host at a time.
const SCRATCH: usize = 8 << 10;
/// Bytes of entries in one answer at most.
const MAX_ANSWER: usize = 256 << 10;

/// Entries that were read so far, and the room for more.
struct Listing {
    bytes: Vec<u8>,
    limit: usize,
    /// Whether they are looked up as well.
    plus: bool,
}

impl Server {
    pub(super) fn opendir(&mut self, call: Call) -> Result<Answer, Errno> {
        self.handles.room_for_folder()?;
        let fd = match self.single_file(call.node) {
            Some(_) => None,
            None => {
                let folder = self.nodes.folder(call.node)?;
                Some(self.reopen(folder, OFlags::RDONLY | OFlags::DIRECTORY)?)
            }
        };
        let fh = self.handles.add_folder(OpenFolder { fd, position: 0, pending: VecDeque::new() });
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
        if folder.position != offset {
            // Not every number is a place in a folder; the file system decides.
            i64::try_from(offset).map_err(|_| Errno::INVAL)?;
            let fd = folder.fd.as_ref().ok_or(Errno::NOTDIR)?;
            seek(fd, SeekFrom::Start(offset))?;
            folder.pending.clear();
            folder.position = offset;
        }
        loop {
            while let Some(found) = folder.pending.pop_front() {
                if !listing.fits(&found.name) {
                    folder.pending.push_front(found);
                    return if listing.bytes.is_empty() { Err(Errno::INVAL) } else { Ok(()) };
                }
                folder.position = found.next;
                self.add(node, &found, listing);
            }
            match self.read_entries(folder) {
                Ok(true) => {}
                Err(error) if listing.bytes.is_empty() => return Err(error),
                Ok(false) | Err(_) => return Ok(()),
            }
        }
    }

    /// Takes some more entries from the host; false at the end.
    fn read_entries(&mut self, folder: &mut OpenFolder) -> Result<bool, Errno> {
        let fd = folder.fd.as_ref().ok_or(Errno::NOTDIR)?;
        self.scratch.resize(SCRATCH, MaybeUninit::uninit());
        let mut entries = RawDir::new(fd, &mut self.scratch);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            folder.pending.push_back(Found {
                name: entry.file_name().to_owned(),
                ino: entry.ino(),
                kind: entry.file_type(),
                next: entry.next_entry_cookie(),
            });
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(!folder.pending.is_empty())
    }

    /// The folder around a single file.
    fn list_single(&mut self, node: u64, from: u64, listing: &mut Listing) -> Result<(), Errno> {
        let Some((name, _)) = self.single_file(node) else { return Err(Errno::NOTDIR) };
        let entries = [
            (c".".to_owned(), FileType::Directory),
            (c"..".to_owned(), FileType::Directory),
            (name.to_owned(), FileType::RegularFile),
        ];
        for ((name, kind), next) in entries.into_iter().zip(1..).skip(from.min(3) as usize) {
            if !listing.fits(&name) {
                break;
            }
            self.add(node, &Found { name, ino: ROOT, kind, next }, listing);
        }
        Ok(())
    }

    /// Adds an entry that fits.
    fn add(&mut self, folder: u64, found: &Found, listing: &mut Listing) {
        let is_dots = matches!(found.name.to_bytes(), b"." | b"..");
        if listing.plus {
            // One that went meanwhile, or for which there is no room any more, is a name only.
            let entry = (!is_dots).then(|| self.lookup_entry(folder, found).ok()).flatten();
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

    fn push(&mut self, found: &Found) {
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
