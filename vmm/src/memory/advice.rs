//! What the host is told about guest memory.
#![allow(unsafe_code)]

use std::io;

use vm_memory::GuestRegionMmap;

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
