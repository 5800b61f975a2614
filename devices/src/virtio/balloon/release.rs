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

/// What the guest finds in a page that it takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It does not look.
    Anything,
    /// Zeroes; where that cannot be promised, the page is not given back.
    Zeroes,
}

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
    Some(release(region, start, end, Afterwards::Anything))
}

/// Gives the pages that `buffers` cover back. Returns how many bytes went, and how many ranges
/// could not be given.
pub(super) fn release_buffers(
    ram: &GuestRam,
    buffers: &Buffers,
    afterwards: Afterwards,
) -> (usize, usize) {
    let Some(iovecs) = buffers.iovecs() else { return (0, 1) };
    let (mut released, mut failed) = (0, 0);
    for iovec in iovecs {
        let base = iovec.iov_base as usize;
        let place = ram.iter().find_map(|region| {
            let start = base.checked_sub(region.as_ptr() as usize)?;
            let end = start.checked_add(iovec.iov_len)?;
            (end <= region.size()).then_some((region, start, end))
        });
        match place.map(|(region, start, end)| release(region, start, end, afterwards)) {
            Some(Ok(n)) => released += n,
            _ => failed += 1,
        }
    }
    (released, failed)
}

/// Gives the pages between two offsets of a region back. `end` must not exceed its size.
fn release(
    region: &GuestRegionMmap<()>,
    start: usize,
    end: usize,
    afterwards: Afterwards,
) -> io::Result<usize> {
    let huge = region.is_hugetlbfs() == Some(true);
    let page = if huge { HUGE_PAGE } else { PAGE };
    // Inwards: the parts of pages at both ends are still the guest's.
    let (start, end) = (start.next_multiple_of(page), end - end % page);
    let Some(len) = end.checked_sub(start).filter(|len| *len > 0) else { return Ok(0) };
    if region.flags() & libc::MAP_SHARED != 0 {
        // They belong to its file: only a hole in that gives them back.
        return advise(region, start, len, libc::MADV_REMOVE).map(|()| len);
    }
    // Where pages of the kernel's file are mapped, those would come back. This advice is for
    // anonymous pages only; it is refused elsewhere.
    if afterwards == Afterwards::Zeroes
        && !huge
        && advise(region, start, len, libc::MADV_FREE).is_err()
    {
        return Ok(0);
    }
    advise(region, start, len, libc::MADV_DONTNEED).map(|()| len)
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
    fn pages_of_a_mapped_file_stay_where_zeroes_are_due() {
        let ram = filled(GuestRam::from_ranges(&[(BASE, SIZE)]).unwrap());
        let file = tempfile::tempfile().unwrap();
        file.set_len(PAGE as u64).unwrap();
        rustix::io::pwrite(&file, &[9; PAGE], 0).unwrap();
        let target = ram.get_host_address(GuestAddress(BASE.0 + 4096)).unwrap();
        // SAFETY: one page inside the mapping that `ram` owns is replaced.
        let mapped = unsafe {
            rustix::mm::mmap(
                target.cast(),
                PAGE,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::PRIVATE | rustix::mm::MapFlags::FIXED,
                &file,
                0,
            )
        };
        assert_eq!(mapped.unwrap(), target.cast());
        ram.write_slice(&[0; PAGE], GuestAddress(BASE.0 + 4096)).unwrap();
        let range = |page: u64| {
            let mut buffers = Buffers::new(Arc::new(ram.clone()));
            buffers.push(GuestAddress(BASE.0 + page * 4096), PAGE);
            buffers
        };
        assert_eq!(release_buffers(&ram, &range(0), Afterwards::Zeroes), (PAGE, 0));
        assert_eq!(release_buffers(&ram, &range(1), Afterwards::Zeroes), (0, 0));
        assert_eq!((byte(&ram, 0), byte(&ram, 4096)), (0, 0));
        assert_eq!(release_buffers(&ram, &range(1), Afterwards::Anything), (PAGE, 0));
        assert_eq!(byte(&ram, 4096), 9, "the file's");
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
