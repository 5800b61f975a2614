//! What the guest has open.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// What a guest may have open of one share, whatever the limit of descriptors is.
const MAX_OPEN: usize = 64 << 10;
/// And folders among it: each may keep some thirty KiB of entries that were read and not given.
const MAX_FOLDERS: usize = 2 << 10;

/// A folder that is open.
pub(super) struct OpenFolder {
    /// `None` for the folder that holds a single shared file.
    pub(super) fd: Option<OwnedFd>,
    /// Where the next entry is expected to be asked for.
    pub(super) position: u64,
    /// What was read of the host and not given to the guest yet. To go back for it would be wrong
    /// where places in a folder are counted (tmpfs before Linux 6.6) and entries before it have
    /// been removed meanwhile.
    pub(super) pending: VecDeque<Found>,
}

/// An entry as the host gives it.
pub(super) struct Found {
    pub(super) name: CString,
    pub(super) ino: u64,
    pub(super) kind: FileType,
    /// Where the next one is.
    pub(super) next: u64,
}

/// A file that is open.
struct OpenFile {
    fd: OwnedFd,
    node: u64,
    /// Whether writes go to its end, wherever they are meant for.
    appends: bool,
}

enum Handle {
    File(OpenFile),
    Folder(OpenFolder),
}

/// What is open, by the numbers that the guest has for it. No number is given twice. It is limited:
/// not each handle is a descriptor, and what these are for is not for one guest's files alone.
pub(super) struct Handles {
    open: HashMap<u64, Handle>,
    /// Folders among them.
    folders: usize,
    next: u64,
    limit: usize,
}

impl Handles {
    /// Nothing. There will be `limit` handles at most.
    pub(super) fn new(limit: usize) -> Self {
        Self { open: HashMap::new(), folders: 0, next: 0, limit: limit.min(MAX_OPEN) }
    }

    /// Whether one more file can be opened: ENFILE where there are too many.
    pub(super) fn room_for_file(&self) -> Result<(), Errno> {
        if self.open.len() < self.limit { Ok(()) } else { Err(Errno::NFILE) }
    }

    /// Whether one more folder can.
    pub(super) fn room_for_folder(&self) -> Result<(), Errno> {
        if self.folders < MAX_FOLDERS { self.room_for_file() } else { Err(Errno::NFILE) }
    }

    /// Adds a file, for which there is room.
    pub(super) fn add_file(&mut self, node: u64, fd: OwnedFd, appends: bool) -> u64 {
        self.add(Handle::File(OpenFile { fd, node, appends }))
    }

    /// Adds a folder, for which there is room.
    pub(super) fn add_folder(&mut self, folder: OpenFolder) -> u64 {
        self.folders += 1;
        self.add(Handle::Folder(folder))
    }

    fn add(&mut self, handle: Handle) -> u64 {
        self.next += 1;
        self.open.insert(self.next, handle);
        self.next
    }

    pub(super) fn file(&self, number: u64) -> Result<&OwnedFd, Errno> {
        match self.open.get(&number) {
            Some(Handle::File(file)) => Ok(&file.fd),
            Some(Handle::Folder(_)) => Err(Errno::ISDIR),
            None => Err(Errno::BADF),
        }
    }

    /// A file for writing to its end, or to where writes are meant for. A flag of the descriptor
    /// decides: that of single writes (RWF_APPEND) is lost in overlay file systems before Linux
    /// 6.6.
    pub(super) fn file_to_write(&mut self, number: u64, append: bool) -> Result<&OwnedFd, Errno> {
        if let Some(Handle::File(file)) = self.open.get_mut(&number)
            && file.appends != append
        {
            let flags = fcntl_getfl(&file.fd)?;
            let append_flag = if append { OFlags::APPEND } else { OFlags::empty() };
            fcntl_setfl(&file.fd, (flags - OFlags::APPEND) | append_flag)?;
            file.appends = append;
        }
        self.file(number)
    }

    /// Takes a folder out while it is read; see [`put_back`](Self::put_back).
    pub(super) fn take_folder(&mut self, number: u64) -> Result<OpenFolder, Errno> {
        match self.open.remove(&number) {
            Some(Handle::Folder(folder)) => Ok(folder),
            Some(file) => {
                self.open.insert(number, file);
                Err(Errno::NOTDIR)
            }
            None => Err(Errno::BADF),
        }
    }

    pub(super) fn put_back(&mut self, number: u64, folder: OpenFolder) {
        self.open.insert(number, Handle::Folder(folder));
    }

    /// A folder's descriptor; `None` for one that is none of the host's.
    pub(super) fn folder(&self, number: u64) -> Result<Option<&OwnedFd>, Errno> {
        match self.open.get(&number) {
            Some(Handle::Folder(folder)) => Ok(folder.fd.as_ref()),
            Some(Handle::File(_)) => Err(Errno::NOTDIR),
            None => Err(Errno::BADF),
        }
    }

    /// Closes what is open, and gives the node of a file.
    pub(super) fn close(&mut self, number: u64) -> Result<Option<u64>, Errno> {
        match self.open.remove(&number).ok_or(Errno::BADF)? {
            Handle::File(file) => Ok(Some(file.node)),
            Handle::Folder(_) => {
                self.folders -= 1;
                Ok(None)
            }
        }
    }
}
