//! A disk in memory that does not forgive.

use std::io;
use std::sync::Mutex;

use devices::disk::{Disk, Extent};
use devices::virtio::Buffers;

/// A disk whose requests must have been checked before they reach it.
#[derive(Debug)]
pub struct MemoryDisk {
    bytes: Mutex<Vec<u8>>,
    size: usize,
    read_only: bool,
}

impl MemoryDisk {
    /// A disk of `size` bytes.
    pub fn new(size: usize, read_only: bool) -> Self {
        Self { bytes: Mutex::new(vec![0xd1; size]), size, read_only }
    }

    fn with<R>(&self, offset: u64, len: usize, act: impl FnOnce(&mut [u8]) -> R) -> R {
        let start = usize::try_from(offset).expect("an offset within the disk");
        let end = start.checked_add(len).expect("an end within the disk");
        let mut bytes = self.bytes.lock().expect("no panic holds it");
        act(bytes.get_mut(start..end).expect("a range within the disk"))
    }

    fn erase(&self, extent: Extent) {
        assert!(!self.read_only, "a read-only disk is not written");
        let len = usize::try_from(extent.len).expect("a length within the disk");
        self.with(extent.offset, len, |bytes| bytes.fill(0));
    }
}

impl Disk for MemoryDisk {
    fn size(&self) -> u64 {
        self.size as u64
    }
    fn refresh_size(&self) -> io::Result<u64> {
        Ok(self.size())
    }
    fn is_read_only(&self) -> bool {
        self.read_only
    }
    fn read(&self, data: Buffers, offset: u64) -> io::Result<()> {
        self.with(offset, data.len(), |bytes| data.copy_from(bytes)).map(|_| ())
    }
    fn write(&self, data: Buffers, offset: u64) -> io::Result<()> {
        assert!(!self.read_only, "a read-only disk is not written");
        self.with(offset, data.len(), |bytes| data.copy_to(bytes)).map(|_| ())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn discard(&self, extent: Extent) -> io::Result<()> {
        self.erase(extent);
        Ok(())
    }
    fn write_zeroes(&self, extent: Extent, _unmap: bool) -> io::Result<()> {
        self.erase(extent);
        Ok(())
    }
}
