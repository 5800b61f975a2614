//! Raw disks: a regular file or block device whose bytes are the disk's.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, OFlags, StatxFlags, fcntl_getfl, fcntl_setfl, statx};

use super::lock::Lock;
use super::{BackingFile, Disk, Extent, OpenDiskError, discard, transfer};
use crate::virtio::Buffers;

/// How a disk is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// Never write to it.
    pub read_only: bool,
    /// Bypass the host's page cache (O_DIRECT). Requests must then be aligned to what
    /// [`Disk::alignment`] says.
    pub direct: bool,
}

/// What a file is to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    BlockDevice,
}

/// A raw disk. While it is open it is locked (flock): one writer, or any number of readers.
#[derive(Debug)]
pub struct FileDisk {
    file: Arc<File>,
    lock: Arc<Lock>,
    path: PathBuf,
    kind: Kind,
    options: OpenOptions,
    alignment: u32,
    size: AtomicU64,
}

impl FileDisk {
    /// Opens and locks the file or block device at `path`.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self, OpenDiskError> {
        let file = open_file(path, options)?;
        let lock = Lock::take(&file, path, options.read_only)?;
        Self::new(Arc::new(file), Arc::new(lock), path, options)
    }

    /// Takes a descriptor that was opened elsewhere; `path` is what errors call it. `options.direct` says how it was opened.
    pub fn from_file(file: File, path: &Path, options: OpenOptions) -> Result<Self, OpenDiskError> {
        let open_error =
            |e: rustix::io::Errno| OpenDiskError::Open { path: path.to_owned(), source: e.into() };
        let flags = fcntl_getfl(&file).map_err(open_error)?;
        if flags.contains(OFlags::NONBLOCK) {
            // io_uring would fail what has to wait.
            fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(open_error)?;
        }
        let access = flags & OFlags::RWMODE;
        let enough = access == OFlags::RDWR || access == OFlags::RDONLY && options.read_only;
        if !enough {
            return Err(OpenDiskError::Access { path: path.to_owned() });
        }
        let lock = Lock::take(&file, path, options.read_only)?;
        Self::new(Arc::new(file), Arc::new(lock), path, options)
    }

    /// Opens the disk that takes this one's place in a running device, in the same way. The path
    /// may lead to the same file: then its size is read again, and its lock is kept.
    pub fn replacement(&self, path: &Path) -> Result<Self, OpenDiskError> {
        let file = open_file(path, self.options)?;
        if same_file(&self.file, &file) {
            let (file, lock) = (Arc::clone(&self.file), Arc::clone(&self.lock));
            return Self::new(file, lock, path, self.options);
        }
        let lock = Lock::take(&file, path, self.options.read_only)?;
        Self::new(Arc::new(file), Arc::new(lock), path, self.options)
    }

    fn new(
        file: Arc<File>,
        lock: Arc<Lock>,
        path: &Path,
        options: OpenOptions,
    ) -> Result<Self, OpenDiskError> {
        let size_error = |source| OpenDiskError::Size { path: path.to_owned(), source };
        let kind = kind(&file.metadata().map_err(size_error)?)
            .ok_or_else(|| OpenDiskError::NotADisk { path: path.to_owned() })?;
        let size = size(&file, kind).map_err(size_error)?;
        let alignment = if options.direct {
            direct_alignment(&file)
                .ok_or_else(|| OpenDiskError::NoDirectIo { path: path.to_owned() })?
        } else {
            1
        };
        let size = AtomicU64::new(size);
        Ok(Self { file, lock, path: path.to_owned(), kind, options, alignment, size })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Disk for FileDisk {
    fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    fn refresh_size(&self) -> io::Result<u64> {
        let size = size(&self.file, self.kind)?;
        self.size.store(size, Ordering::Relaxed);
        Ok(size)
    }

    fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    fn alignment(&self) -> u32 {
        self.alignment
    }

    fn read(&self, data: Buffers, offset: u64) -> io::Result<()> {
        transfer::read(self.file.as_fd(), data, offset)
    }

    fn write(&self, data: Buffers, offset: u64) -> io::Result<()> {
        transfer::write(self.file.as_fd(), data, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn discard(&self, extent: Extent) -> io::Result<()> {
        discard::discard(&self.file, self.kind, extent)
    }

    fn write_zeroes(&self, extent: Extent, unmap: bool) -> io::Result<()> {
        discard::write_zeroes(&self.file, extent, unmap, self.alignment)
    }

    fn file(&self) -> Option<BackingFile<'_>> {
        Some(BackingFile { fd: self.file.as_fd(), has_holes: self.kind == Kind::Regular })
    }
}

fn open_file(path: &Path, options: OpenOptions) -> Result<File, OpenDiskError> {
    let open_error = |source| OpenDiskError::Open { path: path.to_owned(), source };
    // Looked at first, because opening a FIFO waits for its other end.
    let metadata = std::fs::metadata(path).map_err(open_error)?;
    if kind(&metadata).is_none() {
        return Err(OpenDiskError::NotADisk { path: path.to_owned() });
    }
    let mut open = File::options();
    open.read(true).write(!options.read_only);
    if options.direct {
        open.custom_flags(libc::O_DIRECT);
    }
    open.open(path).map_err(|source| match source.raw_os_error() {
        Some(libc::EINVAL) if options.direct => OpenDiskError::NoDirectIo { path: path.to_owned() },
        _ => open_error(source),
    })
}

fn kind(metadata: &std::fs::Metadata) -> Option<Kind> {
    let kind = metadata.file_type();
    if kind.is_file() {
        Some(Kind::Regular)
    } else if kind.is_block_device() {
        Some(Kind::BlockDevice)
    } else {
        None
    }
}

/// Whether both are open on the same file, or on the same device by whatever name.
fn same_file(a: &File, b: &File) -> bool {
    let (Ok(a), Ok(b)) = (a.metadata(), b.metadata()) else { return false };
    match (kind(&a), kind(&b)) {
        (Some(Kind::BlockDevice), Some(Kind::BlockDevice)) => a.rdev() == b.rdev(),
        _ => (a.dev(), a.ino()) == (b.dev(), b.ino()),
    }
}

fn size(mut file: &File, kind: Kind) -> io::Result<u64> {
    match kind {
        Kind::Regular => Ok(file.metadata()?.len()),
        // Nothing else uses the position.
        Kind::BlockDevice => file.seek(SeekFrom::End(0)),
    }
}

/// Bytes to which direct I/O must be aligned, in the file and in memory.
fn direct_alignment(file: &File) -> Option<u32> {
    /// Guests align their buffers to sectors; more cannot be asked of them.
    const SECTOR: u32 = 512;
    let statx = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    if statx.stx_mask & StatxFlags::DIOALIGN.bits() == 0 {
        // Linux before 6.1 does not tell; sectors are right nearly everywhere.
        return Some(SECTOR);
    }
    let (memory, offset) = (statx.stx_dio_mem_align, statx.stx_dio_offset_align);
    (offset != 0 && memory <= SECTOR).then_some(offset.max(SECTOR))
}

#[cfg(test)]
mod tests;
