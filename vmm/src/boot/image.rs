//! A kernel file: what it is, and how parts of it get into guest memory.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use devices::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// A kernel file that cannot be booted: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("Kernel {path} cannot be booted")]
pub struct KernelError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a kernel file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Reading failed.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// Writing to guest memory failed.
    #[error("guest memory cannot be written")]
    Write(#[source] vm_memory::GuestMemoryError),
    /// A folder, socket or device.
    #[error("it is not a regular file")]
    NotAFile,
    /// Neither magic number.
    #[error("it is neither an ELF file nor a bzImage")]
    UnknownFormat,
    /// It ends before something that its headers announce.
    #[error("it is truncated: {what} ends at byte {end}, the file at {length}")]
    Truncated {
        /// What is cut off.
        what: &'static str,
        /// Where that would end.
        end: u64,
        /// Length of the file.
        length: u64,
    },
    /// A header field makes no sense.
    #[error("its header is invalid: {0}")]
    Header(&'static str),
    /// Not for this machine.
    #[error("it is not for x86-64 ({0})")]
    WrongMachine(&'static str),
    /// Part of it lies where there is no guest RAM for it.
    #[error("{what} at {start:#x} ({size} bytes) is outside the guest's memory")]
    OutsideMemory {
        /// Which part.
        what: &'static str,
        /// Guest physical address.
        start: u64,
        /// Bytes.
        size: u64,
    },
    /// The entry point is not in what was loaded.
    #[error("its entry point {0:#x} is outside of what it loads")]
    EntryOutside(u64),
    /// Old boot protocol.
    #[error("its boot protocol {major}.{minor:02} is older than 2.12")]
    OldProtocol {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// The command line does not fit this kernel.
    #[error("it takes command lines of {limit} bytes, this one has {length}")]
    CommandLine {
        /// What the kernel takes.
        limit: u64,
        /// What was given.
        length: usize,
    },
}

/// The kinds of kernel file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An ELF executable, `vmlinux`.
    Elf,
    /// A compressed image with a setup header, `vmlinuz`.
    BzImage,
}

/// Where the setup header's "HdrS" lies in a bzImage.
const BZIMAGE_MAGIC_OFFSET: usize = 0x202;

/// An opened kernel file.
#[derive(Debug)]
pub struct Image {
    pub(super) file: File,
    pub(super) length: u64,
    path: PathBuf,
    /// What its magic number says.
    pub format: Format,
}

impl Image {
    /// Takes an opened file; `path` is for messages only.
    ///
    /// # Errors
    /// When it is not a regular file, cannot be read, or is of no known format.
    pub fn new(file: File, path: &Path) -> Result<Self, KernelError> {
        let failed = |problem| KernelError { path: path.to_owned(), problem };
        let metadata = file.metadata().map_err(|error| failed(Problem::Read(error)))?;
        if !metadata.is_file() {
            return Err(failed(Problem::NotAFile));
        }
        let length = metadata.len();
        let format = detect(&file, length).map_err(failed)?;
        Ok(Self { file, length, path: path.to_owned(), format })
    }

    /// Says that this kernel has `problem`.
    pub(super) fn error(&self, problem: Problem) -> KernelError {
        KernelError { path: self.path.clone(), problem }
    }

    /// Checks that `size` bytes from `offset` are in the file.
    pub(super) fn check(&self, what: &'static str, offset: u64, size: u64) -> Result<(), Problem> {
        let end = offset.checked_add(size).ok_or(Problem::Header("an offset wraps"))?;
        if end > self.length {
            return Err(Problem::Truncated { what, end, length: self.length });
        }
        Ok(())
    }

    /// Reads `size` bytes from `offset`.
    pub(super) fn read(
        &self,
        what: &'static str,
        offset: u64,
        size: usize,
    ) -> Result<Vec<u8>, Problem> {
        self.check(what, offset, size as u64)?;
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, offset).map_err(Problem::Read)?;
        Ok(bytes)
    }
}

fn detect(file: &File, length: u64) -> Result<Format, Problem> {
    let mut start = [0; BZIMAGE_MAGIC_OFFSET + 4];
    let available = start.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    let (head, _) = start.split_at_mut(available);
    file.read_exact_at(head, 0).map_err(Problem::Read)?;
    if start.starts_with(b"\x7fELF") {
        Ok(Format::Elf)
    } else if start.ends_with(b"HdrS") {
        Ok(Format::BzImage)
    } else {
        Err(Problem::UnknownFormat)
    }
}

/// Reads `size` bytes of `file` from `offset` straight into guest memory at `address`.
///
/// They are not mapped from the file: kernels patch most pages of their code while they boot, and
/// a page that is copied when it is written costs more than one that was read (ADR 0007).
pub(super) fn place(
    mut file: &File,
    offset: u64,
    memory: &GuestRam,
    address: GuestAddress,
    size: u64,
) -> Result<(), Problem> {
    let Some(count) = usize::try_from(size).ok().filter(|count| *count > 0) else {
        return Ok(());
    };
    if !memory.check_range(address, count) {
        return Err(Problem::OutsideMemory { what: "a segment", start: address.0, size });
    }
    file.seek(SeekFrom::Start(offset)).map_err(Problem::Read)?;
    memory.read_exact_volatile_from(address, &mut file, count).map_err(Problem::Write)
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
