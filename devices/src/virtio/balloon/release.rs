//! Giving guest pages back to the host.
#![allow(unsafe_code)]

use std::io;

use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap, MemoryRegionAddress,
};

use crate::memory::GuestRam;
use crate::virtio::Buffers;

/// Page size of regions in huge pages.
const HUGE_PAGE: usize = 2 << 20;
/// Page size of all others.
const PAGE: usize = 4096;

/// Gives `len` bytes from `addr` back. Returns how many bytes went: whole pages of the host only.
/// `None` if not all of them are RAM of one region.
pub(super) fn release_range(
    ram: &GuestRam,
    addr: GuestAddress,
    len: usize,
) -> Option<io::Result<usize>> {
    let (region, MemoryRegionAddress(start)) = ram.to_region_addr(addr)?;
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(len).filter(|end| *end <= region.size())?;
    Some(release(region, start, end))
}

/// Gives the pages that `buffers` cover back. Returns how many bytes went, and how many ranges
/// could not be given.
pub(super) fn release_buffers(ram: &GuestRam, buffers: &Buffers) -> (usize, usize) {
    let Some(iovecs) = buffers.iovecs() else { return (0, 1) };
    let (mut released, mut failed) = (0, 0);
    for iovec in iovecs {
        let base = iovec.iov_base as usize;
        let place = ram.iter().find_map(|region| {
            let start = base.checked_sub(region.as_ptr() as usize)?;
            let end = start.checked_add(iovec.iov_len)?;
            (end <= region.size()).then_some((region, start, end))
        });
        match place.map(|(region, start, end)| release(region, start, end)) {
            Some(Ok(n)) => released += n,
            _ => failed += 1,
        }
    }
    (released, failed)
}

/// Gives the pages between two offsets of a region back, which then read as zeroes. `end` must not
/// exceed its size.
fn release(region: &GuestRegionMmap<()>, start: usize, end: usize) -> io::Result<usize> {
    let page = if region.is_hugetlbfs() == Some(true) { HUGE_PAGE } else { PAGE };
    // Inwards: the parts of pages at both ends are still the guest's.
    let (start, end) = (start.next_multiple_of(page), end - end % page);
    let Some(len) = end.checked_sub(start).filter(|len| *len > 0) else { return Ok(0) };
    // Pages of a shared mapping belong to its file: only a hole in that gives them back.
    let shared = region.flags() & libc::MAP_SHARED != 0;
    let advice = if shared { libc::MADV_REMOVE } else { libc::MADV_DONTNEED };
    advise(region, start, len, advice).map(|()| len)
}

fn advise(
    region: &GuestRegionMmap<()>,
    start: usize,
    len: usize,
    advice: libc::c_int,
) -> io::Result<()> {
    assert!(start.checked_add(len).is_some_and(|end| end <= region.size()));
    // SAFETY: the range lies in the region's mapping, as just checked, which the caller's reference
    // keeps. Nothing in this process holds references into guest memory, so that its contents may
    // change at any time, as they do by the guest's own writes.
    let result = unsafe { libc::madvise(region.as_ptr().byte_add(start).cast(), len, advice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use vm_memory::{Bytes, FileOffset};

    use super::*;

    const SIZE: usize = 16 * PAGE;
    const BASE: GuestAddress = GuestAddress(0x10_0000);

    fn filled(ram: GuestRam) -> GuestRam {
        ram.write_slice(&[7; SIZE], BASE).unwrap();
        ram
    }

    fn byte(ram: &GuestRam, offset: u64) -> u8 {
        ram.read_obj(GuestAddress(BASE.0 + offset)).unwrap()
    }

    #[test]
    fn private_pages_go_and_their_neighbours_stay() {
        let ram = filled(GuestRam::from_ranges(&[(BASE, SIZE)]).unwrap());
        let range = GuestAddress(BASE.0 + 4096);
        assert_eq!(release_range(&ram, range, 2 * PAGE).unwrap().unwrap(), 2 * PAGE);
        let seen = [0xfff, 0x1000, 0x2fff, 0x3000].map(|o| byte(&ram, o));
        assert_eq!(seen, [7, 0, 0, 7]);
    }

    #[test]
    fn parts_of_pages_stay() {
        let ram = filled(GuestRam::from_ranges(&[(BASE, SIZE)]).unwrap());
        let range = GuestAddress(BASE.0 + 1);
        assert_eq!(release_range(&ram, range, 2 * PAGE).unwrap().unwrap(), PAGE);
        assert_eq!([0, 0xfff, 0x1000, 0x2000].map(|o| byte(&ram, o)), [7, 7, 0, 7]);
        assert_eq!(release_range(&ram, range, PAGE).unwrap().unwrap(), 0);
    }

    #[test]
    fn shared_pages_leave_their_file() {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.set_len(SIZE as u64).unwrap();
        let offset = FileOffset::new(file.try_clone().unwrap(), 0);
        let region = GuestRegionMmap::from_range(BASE, SIZE, Some(offset)).unwrap();
        let ram = filled(GuestRam::from_arc_regions(vec![Arc::new(region)]).unwrap());
        let before = file.metadata().unwrap().blocks();
        assert_eq!(release_range(&ram, BASE, SIZE / 2).unwrap().unwrap(), SIZE / 2);
        assert_eq!(file.metadata().unwrap().blocks(), before / 2);
        assert_eq!((byte(&ram, 0), byte(&ram, SIZE as u64 - 1)), (0, 7));
    }

    #[test]
    fn range_outside_of_memory_is_refused() {
        let ram = GuestRam::from_ranges(&[(BASE, SIZE)]).unwrap();
        for (addr, len) in [(0, PAGE), (BASE.0 + SIZE as u64 - 4096, 2 * PAGE), (u64::MAX, PAGE)] {
            assert!(release_range(&ram, GuestAddress(addr), len).is_none());
        }
        assert!(release_range(&ram, BASE, usize::MAX).is_none());
    }
}
