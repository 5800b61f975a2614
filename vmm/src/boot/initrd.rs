//! The initial RAM disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use devices::memory::GuestRam;
use vm_memory::GuestAddress;

use super::image::{Problem, place};
use crate::memory::layout::{PAGE_SIZE, Range};

/// Why an initial RAM disk cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum InitrdError {
    /// Reading failed.
    #[error("Initial RAM disk {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
    /// A folder, socket or device.
    #[error("Initial RAM disk {path} is not a regular file")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Nothing in it.
    #[error("Initial RAM disk {path} is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Does not fit between the kernel and the end of memory.
    #[error("Initial RAM disk {path} ({size} bytes) does not fit guest memory behind the kernel")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        size: u64,
    },
    /// Moving it into guest memory failed.
    #[error("Initial RAM disk {path} cannot be loaded")]
    Load {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Problem,
    },
}

/// An opened initial RAM disk.
#[derive(Debug)]
pub struct Initrd {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Initrd {
    /// Takes an opened file; `path` is for messages only.
    ///
    /// # Errors
    /// When it is not a regular file, or empty.
    pub fn new(file: File, path: &Path) -> Result<Self, InitrdError> {
        let path = path.to_owned();
        let metadata = match file.metadata() {
            Ok(metadata) => metadata,
            Err(source) => return Err(InitrdError::Read { path, source }),
        };
        if !metadata.is_file() {
            return Err(InitrdError::NotAFile { path });
        }
        match metadata.len() {
            0 => Err(InitrdError::Empty { path }),
            size => Ok(Self { file, path, size }),
        }
    }

    /// Loads it as high as possible in `low_ram` but not above `last`, behind `kernel_end`.
    pub(super) fn load(
        &self,
        memory: &GuestRam,
        low_ram: Range,
        kernel_end: GuestAddress,
        last: u64,
    ) -> Result<Range, InitrdError> {
        let limit = low_ram.end().min(last.saturating_add(1));
        let start = limit.checked_sub(self.size).map(|start| start / PAGE_SIZE * PAGE_SIZE);
        let Some(start) = start.filter(|start| *start >= kernel_end.0) else {
            return Err(InitrdError::TooLarge { path: self.path.clone(), size: self.size });
        };
        place(&self.file, 0, memory, GuestAddress(start), self.size)
            .map_err(|source| InitrdError::Load { path: self.path.clone(), source })?;
        Ok(Range { start, size: self.size })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use vm_memory::Bytes;

    use super::*;
    use crate::memory::{AddressSpace, Backing, Pages, allocate};

    const LOW_RAM: Range = Range { start: 0, size: 32 << 20 };

    fn initrd(size: usize) -> Initrd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'r'; size]).unwrap();
        Initrd::new(file, Path::new("/initrd")).unwrap()
    }

    fn memory() -> GuestRam {
        let space = AddressSpace::new(32 << 20, 46).unwrap();
        allocate(&space, Backing::Anonymous, Pages::Normal).unwrap()
    }

    #[test]
    fn it_ends_at_the_end_of_memory_rounded_to_pages() {
        let memory = memory();
        let range = initrd(5000)
            .load(&memory, LOW_RAM, GuestAddress(0x20_0000), u64::from(u32::MAX))
            .unwrap();
        assert_eq!(range, Range { start: 0x1ff_e000, size: 5000 });
        assert_eq!(memory.read_obj::<u8>(GuestAddress(range.end() - 1)).unwrap(), b'r');
        assert_eq!(memory.read_obj::<u8>(GuestAddress(range.end())).unwrap(), 0);
    }

    #[test]
    fn a_kernels_highest_address_is_kept() {
        let range =
            initrd(4096).load(&memory(), LOW_RAM, GuestAddress(0x20_0000), 0x7f_ffff).unwrap();
        assert_eq!(range.end(), 0x80_0000);
    }

    #[test]
    fn one_that_meets_the_kernel_is_refused_by_name() {
        let error = initrd(4097)
            .load(&memory(), LOW_RAM, GuestAddress(0x1ff_f000), u64::from(u32::MAX))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "Initial RAM disk /initrd (4097 bytes) does not fit guest memory behind the kernel"
        );
    }

    #[test]
    fn empty_files_and_folders_are_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(Initrd::new(file, Path::new("e")), Err(InitrdError::Empty { .. })));
        let folder = File::open("/").unwrap();
        assert!(matches!(Initrd::new(folder, Path::new("/")), Err(InitrdError::NotAFile { .. })));
    }
}
