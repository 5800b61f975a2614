//! bzImage kernels: `vmlinuz`.
//!
//! The real-mode part is skipped: the protected-mode part is loaded at the address it prefers
//! and entered at its 64-bit entry point, 0x200 bytes in (Documentation/arch/x86/boot.rst).

use devices::memory::GuestRam;
use linux_loader::bootparam::{LOADED_HIGH, XLF_KERNEL_64, setup_header};
use vm_memory::{ByteValued, GuestAddress, GuestMemoryBackend};

use super::image::{Image, Problem, place};
use super::{Entry, Protocol};
use crate::memory::layout::HIGH_RAM;

/// Where the setup header lies in the file.
const HEADER_OFFSET: u64 = 0x1f1;
/// The setup header's `boot_flag`.
const BOOT_FLAG: u16 = 0xaa55;
/// Protocol 2.12 brought `xloadflags`, which tell of the 64-bit entry point.
const MIN_VERSION: u16 = 0x020c;
/// Setup sectors when the header says 0.
const DEFAULT_SETUP_SECTORS: u64 = 4;
/// Distance of the 64-bit entry point from the start of the protected-mode part.
const ENTRY_64: u64 = 0x200;
/// `type_of_loader` of a boot loader without a number of its own.
const LOADER_UNDEFINED: u8 = 0xff;

/// A kernel in guest memory.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// How to enter it.
    pub entry: Entry,
    /// First address after the memory that it needs before it reads the memory map.
    pub end: GuestAddress,
    /// The header to put into `boot_params`.
    pub header: setup_header,
}

/// Loads a bzImage.
pub(super) fn load(image: &Image, memory: &GuestRam) -> Result<Loaded, Problem> {
    let header = header(image)?;
    let sectors = match u64::from(header.setup_sects) {
        0 => DEFAULT_SETUP_SECTORS,
        sectors => sectors,
    };
    let offset = (sectors + 1) * 512;
    let size = u64::from(header.syssize) * 16;
    // The last paragraph may be partial: `syssize` is rounded up.
    let available = image.length.saturating_sub(offset);
    if size == 0 {
        return Err(Problem::Header("its protected-mode part is empty"));
    }
    if available + 15 < size {
        let (what, end) = ("the protected-mode part", offset + size);
        return Err(Problem::Truncated { what, end, length: image.length });
    }
    let size = size.min(available);
    if size <= ENTRY_64 {
        return Err(Problem::Header("its protected-mode part has no 64-bit entry"));
    }
    let start = header.pref_address;
    let needed = u64::from(header.init_size).max(size);
    let what = "the kernel with its working memory";
    let outside = Problem::OutsideMemory { what, start, size: needed };
    let fits = start >= HIGH_RAM.0
        && usize::try_from(needed)
            .is_ok_and(|length| memory.get_slice(GuestAddress(start), length).is_ok());
    if !fits {
        return Err(outside);
    }
    place(&image.file, offset, memory, GuestAddress(start), size)?;
    let address = GuestAddress(start + ENTRY_64);
    let entry = Entry { protocol: Protocol::Linux64, address };
    let header = setup_header { type_of_loader: LOADER_UNDEFINED, ..header };
    Ok(Loaded { entry, end: GuestAddress(start + needed), header })
}

fn header(image: &Image) -> Result<setup_header, Problem> {
    let size = size_of::<setup_header>();
    let bytes = image.read("the setup header", HEADER_OFFSET, size)?;
    let mut header = setup_header::default();
    header.as_mut_slice().copy_from_slice(&bytes);
    if header.boot_flag != BOOT_FLAG {
        return Err(Problem::Header("boot flag"));
    }
    if header.version < MIN_VERSION {
        let [minor, major] = header.version.to_le_bytes();
        return Err(Problem::OldProtocol { major, minor });
    }
    if header.loadflags & LOADED_HIGH == 0 {
        return Err(Problem::WrongMachine("a zImage that loads low"));
    }
    if header.xloadflags & XLF_KERNEL_64 == 0 {
        return Err(Problem::WrongMachine("no 64-bit entry"));
    }
    // The jump in front of the header ends it: what lies behind is code, not header.
    let length = 0x202_usize + usize::from(header.jump.to_le_bytes()[1]) - 0x1f1;
    if let Some(rest) = header.as_mut_slice().get_mut(length..) {
        rest.fill(0);
    }
    Ok(header)
}

#[cfg(test)]
#[path = "bzimage_tests.rs"]
mod tests;
