//! File pages mapped over guest memory, and advice about it.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use vm_memory::{GuestAddress, GuestMemoryBackend, GuestRegionMmap};

use super::GuestRam;

/// Size of a host page, bytes.
pub const PAGE_SIZE: u64 = 4096;

/// Advises the host about a region: never in core dumps, huge pages if `transparent`.
///
/// # Errors
/// When the host refuses the huge pages (kernel built without them).
pub(super) fn advise(region: &GuestRegionMmap<()>, transparent: bool) -> io::Result<()> {
    let mapping = region.get_mmap();
    let advise = |advice| {
        // SAFETY: the range is exactly a mapping that `mapping` owns and keeps alive; these
        // pieces of advice change no contents.
        let result = unsafe { libc::madvise(mapping.as_ptr().cast(), mapping.size(), advice) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    advise(libc::MADV_DONTDUMP)?;
    if transparent { advise(libc::MADV_HUGEPAGE) } else { Ok(()) }
}

/// Makes every page of a region present and writable.
///
/// # Errors
/// When the host has not that much memory.
pub(super) fn populate(region: &GuestRegionMmap<()>) -> io::Result<()> {
    let mapping = region.get_mmap();
    // SAFETY: the range is exactly a mapping that `mapping` owns and keeps alive; populating it
    // changes no contents.
    let result = unsafe {
        libc::madvise(mapping.as_ptr().cast(), mapping.size(), libc::MADV_POPULATE_WRITE)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether whole pages of a file may replace pages of the region that holds `address`.
///
/// They may where RAM is private anonymous memory of normal pages: shared memory would stop
/// being shared, and a huge page cannot be replaced in part.
pub fn can_map(memory: &GuestRam, address: GuestAddress) -> bool {
    memory.find_region(address).is_some_and(|region| {
        let mapping = region.get_mmap();
        mapping.file_offset().is_none() && mapping.is_hugetlbfs() != Some(true)
    })
}

/// Maps `size` bytes of `file` from `offset` copy-on-write over guest memory at `address`.
///
/// Address, offset and size are multiples of [`PAGE_SIZE`].
///
/// # Errors
/// `InvalidInput` when something is not aligned or the range is not inside one region, else
/// the host's reason.
pub fn map_file(
    memory: &GuestRam,
    address: GuestAddress,
    file: &File,
    offset: u64,
    size: u64,
) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let aligned = [address.0, offset, size].iter().all(|value| value.is_multiple_of(PAGE_SIZE));
    let length = usize::try_from(size).map_err(|_| invalid())?;
    let file_offset = libc::off_t::try_from(offset).map_err(|_| invalid())?;
    if !aligned || length == 0 {
        return Err(invalid());
    }
    // The slice proves that the whole range lies in one region.
    let slice = memory.get_slice(address, length).map_err(|_| invalid())?;
    let target = slice.ptr_guard_mut();
    // SAFETY: MAP_FIXED replaces only `length` bytes at `target`, all inside a mapping that
    // `memory` owns (checked by `get_slice`) and unmaps as a whole; guest memory is accessed
    // by volatile copies only, so changing its contents is sound.
    let mapped = unsafe {
        libc::mmap(
            target.as_ptr().cast(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE,
            file.as_raw_fd(),
            file_offset,
        )
    };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use vm_memory::Bytes;

    use super::*;
    use crate::memory::{AddressSpace, Backing, Pages, allocate};

    fn memory(backing: Backing) -> GuestRam {
        allocate(&AddressSpace::new(32 << 20, 46).unwrap(), backing, Pages::Normal).unwrap()
    }

    fn file(pages: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for page in 0..pages {
            file.write_all(&[u8::try_from(page).unwrap() + 1; 4096]).unwrap();
        }
        file
    }

    #[test]
    fn mapped_pages_show_the_file_and_leave_their_neighbours() {
        let memory = memory(Backing::Anonymous);
        map_file(&memory, GuestAddress(0x10_0000), &file(3), 4096, 8192).unwrap();
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x0f_ffff)).unwrap(), 0);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_0000)).unwrap(), 2);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_1fff)).unwrap(), 3);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0x10_2000)).unwrap(), 0);
    }

    #[test]
    fn writes_to_mapped_pages_do_not_reach_the_file() {
        let memory = memory(Backing::Anonymous);
        let mut file = file(1);
        map_file(&memory, GuestAddress(0x10_0000), &file, 0, 4096).unwrap();
        memory.write_obj(0xaa_u8, GuestAddress(0x10_0000)).unwrap();
        let mut first = [0];
        file.rewind().unwrap();
        file.read_exact(&mut first).unwrap();
        assert_eq!(first, [1]);
    }

    #[test]
    fn ranges_outside_memory_or_unaligned_are_refused() {
        let memory = memory(Backing::Anonymous);
        let file = file(2);
        let end = GuestAddress((32 << 20) - 4096);
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(map_file(&memory, end, &file, 0, 8192)), io::ErrorKind::InvalidInput);
        assert_eq!(
            kind(map_file(&memory, GuestAddress(0x800), &file, 0, 4096)),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(
            kind(map_file(&memory, GuestAddress(0), &file, 0, 0)),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn only_private_anonymous_memory_is_mapped_over() {
        assert!(can_map(&memory(Backing::Anonymous), GuestAddress(0)));
        assert!(!can_map(&memory(Backing::Memfd), GuestAddress(0)));
        assert!(!can_map(&memory(Backing::Anonymous), GuestAddress(1 << 40)));
    }
}
