//! Allocation of guest RAM.
//!
//! Nothing is touched here: pages come when the guest first uses them, so the cost does not
//! depend on the size of the memory.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};
use vm_memory::mmap::{MmapRegionBuilder, MmapRegionError};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryBackend, GuestRegionMmap};

use super::layout::{AddressSpace, Range};
use super::{GuestRam, advice};

/// Where guest pages come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backing {
    /// Private anonymous memory.
    #[default]
    Anonymous,
    /// A sealed-size memfd, shared: other processes (vhost-user, snapshots) can map it.
    Memfd,
}

/// How large the host pages under the guest are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// The host's normal pages, its policy for transparent huge pages unchanged.
    #[default]
    Normal,
    /// Transparent huge pages are asked for (`MADV_HUGEPAGE`).
    Transparent,
    /// 2 MiB pages of the hugetlb pool, reserved when the memory is created.
    Huge2M,
}

/// Why guest memory could not be allocated.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The memfd could not be made.
    #[error("Failed to create a memory file of {size} bytes for guest memory")]
    Memfd {
        /// Bytes asked for.
        size: u64,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
    /// The mapping could not be made; with huge pages: the pool is too small.
    #[error("Failed to map {size} bytes of guest memory ({pages:?} pages)")]
    Map {
        /// Bytes asked for.
        size: u64,
        /// Page size asked for.
        pages: Pages,
        /// The host's reason.
        #[source]
        source: MmapRegionError,
    },
    /// A range does not fit the host's address space.
    #[error("Guest memory range of {0} bytes does not fit the host's address space")]
    Range(u64),
    /// The ranges overlap.
    #[error("Failed to assemble guest memory regions")]
    Assemble(#[source] vm_memory::GuestRegionCollectionError),
    /// `madvise` was refused.
    #[error("Failed to advise the host about guest memory")]
    Advise(#[source] io::Error),
    /// The host has not that much memory now.
    #[error("Failed to populate guest memory")]
    Populate(#[source] io::Error),
}

const MEMFD_NAME: &CStr = c"guest-memory";

/// Maps the RAM of `space`. Pages are not populated.
///
/// # Errors
/// When the host refuses the memory file, the mapping (huge pages exhausted) or the advice.
pub fn allocate(
    space: &AddressSpace,
    backing: Backing,
    pages: Pages,
) -> Result<GuestRam, AllocateError> {
    let file = match backing {
        Backing::Anonymous => None,
        Backing::Memfd => Some(Arc::new(memory_file(space.ram_size(), pages)?)),
    };
    let mut regions = Vec::with_capacity(2);
    let mut offset = 0;
    for range in space.ram() {
        let file_offset = file.as_ref().map(|file| FileOffset::from_arc(Arc::clone(file), offset));
        regions.push(map(range, file_offset, pages)?);
        offset += range.size;
    }
    let memory = GuestRam::from_regions(regions).map_err(AllocateError::Assemble)?;
    for region in memory.iter() {
        advice::advise(region, pages == Pages::Transparent).map_err(AllocateError::Advise)?;
    }
    Ok(memory)
}

/// Touches all of `memory`, so that no page is missing later.
///
/// # Errors
/// When the host has not that much memory.
pub fn populate(memory: &GuestRam) -> Result<(), AllocateError> {
    memory.iter().try_for_each(|region| advice::populate(region).map_err(AllocateError::Populate))
}

fn memory_file(size: u64, pages: Pages) -> Result<File, AllocateError> {
    let failed = |source: rustix::io::Errno| AllocateError::Memfd { size, source: source.into() };
    let mut flags = MemfdFlags::CLOEXEC;
    if pages == Pages::Huge2M {
        flags |= MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
    }
    let fd = memfd_create(MEMFD_NAME, flags).map_err(failed)?;
    rustix::fs::ftruncate(&fd, size).map_err(failed)?;
    Ok(File::from(fd))
}

fn map(
    range: Range,
    file_offset: Option<FileOffset>,
    pages: Pages,
) -> Result<GuestRegionMmap<()>, AllocateError> {
    let size = usize::try_from(range.size).map_err(|_| AllocateError::Range(range.size))?;
    let mut flags = match file_offset {
        Some(_) => libc::MAP_SHARED,
        None => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    };
    if pages == Pages::Huge2M {
        // Reserved at once: running out later would be a SIGBUS in the guest's first touch.
        if file_offset.is_none() {
            flags |= libc::MAP_HUGETLB | libc::MAP_HUGE_2MB;
        }
    } else {
        flags |= libc::MAP_NORESERVE;
    }
    let mut builder = MmapRegionBuilder::new(size)
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(flags)
        .with_hugetlbfs(pages == Pages::Huge2M);
    if let Some(file_offset) = file_offset {
        builder = builder.with_file_offset(file_offset);
    }
    let region =
        builder.build().map_err(|source| AllocateError::Map { size: range.size, pages, source })?;
    GuestRegionMmap::new(region, GuestAddress(range.start)).ok_or(AllocateError::Range(range.size))
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, GuestMemoryRegion};

    use super::*;

    fn space(mib: u64) -> AddressSpace {
        AddressSpace::new(mib << 20, 46).unwrap()
    }

    #[test]
    fn six_gib_of_anonymous_memory_is_two_regions() {
        let memory = allocate(&space(6 << 10), Backing::Anonymous, Pages::Normal).unwrap();
        let regions: Vec<_> = memory.iter().map(|r| (r.start_addr().0, r.len())).collect();
        assert_eq!(regions, [(0, 3 << 30), (4 << 30, 3 << 30)]);
    }

    #[test]
    fn both_ends_of_each_region_hold_what_is_written() {
        let memory = allocate(&space(6 << 10), Backing::Anonymous, Pages::Normal).unwrap();
        for address in [0, 0xbfff_fff8, 1 << 32, (7 << 30) - 8] {
            memory.write_obj(address, GuestAddress(address)).unwrap();
        }
        for address in [0, 0xbfff_fff8, 1 << 32, (7 << 30) - 8] {
            assert_eq!(memory.read_obj::<u64>(GuestAddress(address)).unwrap(), address);
        }
        assert!(memory.read_obj::<u64>(GuestAddress(0xc000_0000)).is_err());
    }

    #[test]
    fn memfd_regions_share_one_file_at_consecutive_offsets() {
        let memory = allocate(&space(4 << 10), Backing::Memfd, Pages::Normal).unwrap();
        let offsets: Vec<_> = memory.iter().map(|r| r.file_offset().unwrap().start()).collect();
        assert_eq!(offsets, [0, 3 << 30]);
        let sizes: Vec<_> = memory
            .iter()
            .map(|r| r.file_offset().unwrap().file().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes, [4 << 30, 4 << 30]);
    }

    #[test]
    fn transparent_huge_pages_can_be_asked_for() {
        let memory = allocate(&space(64), Backing::Anonymous, Pages::Transparent).unwrap();
        assert_eq!(memory.num_regions(), 1);
    }

    #[test]
    fn populated_memory_is_resident() {
        let memory = allocate(&space(32), Backing::Anonymous, Pages::Normal).unwrap();
        let resident = || -> u64 {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
        };
        let before = resident();
        populate(&memory).unwrap();
        assert!(resident() - before >= 31 << 20);
    }

    #[test]
    fn huge_pages_beyond_the_pool_are_an_error_that_names_them() {
        let error = allocate(&space(512 << 10), Backing::Anonymous, Pages::Huge2M).unwrap_err();
        assert!(error.to_string().contains("Huge2M"), "{error}");
    }
}
