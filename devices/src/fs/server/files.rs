//! Files that are open.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{
    FallocateFlags, OFlags, SeekFrom, copy_file_range, fallocate, fdatasync, fsync, seek,
};
use rustix::io::Errno;

use super::{Answer, Call, MAX_TRANSFER, Server};
use crate::fs::attributes::stat;
use crate::fs::protocol::{
    CopyFileRangeIn, FSYNC_DATA, FallocateIn, FsyncIn, LseekIn, LseekOut, OpenIn, OpenedFlags,
    ReadIn, ReleaseIn, WriteFlags, WriteIn, WriteOut,
};
use crate::fs::share::Cache;
use crate::virtio::Buffers;

/// Bytes that one request copies between files at most, so that others get their turn.
const MAX_COPY: u64 = 64 << 20;
/// lseek(2): the next data, the next hole.
const SEEK_DATA: u32 = libc::SEEK_DATA as u32;
const SEEK_HOLE: u32 = libc::SEEK_HOLE as u32;

impl Server {
    pub(super) fn open(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let OpenIn { flags, open_flags } = call.arguments.take()?;
        let fh = self.open_node(call.node, flags, open_flags)?;
        Ok(Answer::of(&self.opened(fh)))
    }

    /// What the guest may do with the content of files that it opens.
    pub(super) fn opened_flags(&self) -> OpenedFlags {
        match self.share.options.cache {
            Cache::None => OpenedFlags::DIRECT_IO,
            Cache::Auto => OpenedFlags::empty(),
            Cache::Always => OpenedFlags::KEEP_CACHE,
        }
    }

    /// Straight into guest memory.
    pub(super) fn read(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let read: ReadIn = call.arguments.take()?;
        let file = self.handles.file(read.fh)?;
        let mut room = call.room;
        room.split_off(read.size.min(MAX_TRANSFER) as usize);
        let count = room.read_at(file.as_fd(), read.offset).map_err(errno)?;
        self.metrics.read_bytes.add(count as u64);
        Ok(Answer::Filled(count))
    }

    /// Straight out of guest memory.
    pub(super) fn write(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let write: WriteIn = call.arguments.take()?;
        let mut data = call.arguments.data();
        let size = write.size as usize;
        if write.size > MAX_TRANSFER || data.len() < size {
            return Err(Errno::INVAL);
        }
        data.split_off(size);
        let flags = WriteFlags::from_bits_truncate(write.write_flags);
        // What comes from the guest's cache has its place in the file already.
        let appends = OFlags::from_bits_retain(write.flags).contains(OFlags::APPEND)
            && !flags.contains(WriteFlags::CACHE);
        self.handles.file_to_write(write.fh, appends)?;
        let file = self.handles.file(write.fh)?;
        if flags.contains(WriteFlags::KILL_SUIDGID) {
            let (owners, descriptors) = (&self.session()?.owners, &self.share.descriptors);
            owners.drop_privileges(descriptors, file, &stat(file)?)?;
        }
        let count = write_all(data, write.offset, |data, at| data.write_at(file.as_fd(), at))?;
        self.metrics.written_bytes.add(count as u64);
        // At most MAX_TRANSFER.
        Ok(Answer::of(&WriteOut { size: count as u32, padding: 0 }))
    }

    /// Files and folders.
    pub(super) fn release(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let ReleaseIn { fh, .. } = call.arguments.take()?;
        if let Some(node) = self.handles.close(fh)? {
            self.nodes.released(node);
        }
        Ok(Answer::Empty)
    }

    pub(super) fn fsync(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let FsyncIn { fh, flags, .. } = call.arguments.take()?;
        let file = self.handles.file(fh)?;
        if flags & FSYNC_DATA != 0 {
            fdatasync(file)?
        } else {
            fsync(file)?
        }
        Ok(Answer::Empty)
    }

    pub(super) fn fallocate(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let FallocateIn { fh, offset, length, mode, .. } = call.arguments.take()?;
        let mode = FallocateFlags::from_bits(mode).ok_or(Errno::OPNOTSUPP)?;
        if i64::try_from(offset).is_err() || i64::try_from(length).is_err() {
            return Err(Errno::FBIG);
        }
        fallocate(self.handles.file(fh)?, mode, offset, length)?;
        Ok(Answer::Empty)
    }

    /// The guest's kernel does the other kinds by itself.
    pub(super) fn lseek(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let LseekIn { fh, offset, whence, .. } = call.arguments.take()?;
        if i64::try_from(offset).is_err() {
            return Err(Errno::NXIO);
        }
        let from = match whence {
            SEEK_DATA => SeekFrom::Data(offset),
            SEEK_HOLE => SeekFrom::Hole(offset),
            _ => return Err(Errno::INVAL),
        };
        let offset = seek(self.handles.file(fh)?, from)?;
        Ok(Answer::of(&LseekOut { offset }))
    }

    pub(super) fn copy_file_range(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let copy: CopyFileRangeIn = call.arguments.take()?;
        let (from, to) = (self.handles.file(copy.fh_in)?, self.handles.file(copy.fh_out)?);
        let (mut at, mut target) = (copy.offset_in, copy.offset_out);
        if copy.flags != 0 || i64::try_from(at).is_err() || i64::try_from(target).is_err() {
            return Err(Errno::INVAL);
        }
        let length = copy.length.min(MAX_COPY) as usize;
        let count = copy_file_range(from, Some(&mut at), to, Some(&mut target), length)?;
        // At most MAX_COPY.
        Ok(Answer::of(&WriteOut { size: count as u32, padding: 0 }))
    }
}

/// Writes until all is written or nothing more fits, as a program's one call would.
fn write_all(
    mut data: Buffers,
    mut offset: u64,
    mut step: impl FnMut(&Buffers, u64) -> io::Result<usize>,
) -> Result<usize, Errno> {
    let mut done = 0;
    while !data.is_empty() {
        match step(&data, offset) {
            Ok(0) => break,
            Ok(count) => {
                data.advance(count);
                offset = offset.saturating_add(count as u64);
                done += count;
            }
            Err(error) if done == 0 => return Err(errno(error)),
            Err(_) => break,
        }
    }
    Ok(done)
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
