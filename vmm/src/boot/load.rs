//! Loading everything that a guest starts from.

use devices::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::command_line::CommandLine;
use super::image::{Format, Image, KernelError, Problem};
use super::initrd::{Initrd, InitrdError};
use super::memory_map::memory_map;
use super::{Entry, Protocol, bzimage, elf, mp_table, start_info, zero_page};
use crate::memory::AddressSpace;
use crate::memory::layout::{COMMAND_LINE, RESET_VECTOR, Range, ZERO_PAGE};

/// Highest last byte of an initial RAM disk where the kernel sets no limit.
const INITRD_LAST: u64 = u32::MAX as u64;

/// All the firmware there is: `mov al, 0xfe; out 0x64, al; hlt; jmp .-1`.
///
/// On a machine with reduced-hardware ACPI, Linux without a `reboot=` parameter restarts through
/// EFI, which there is not, and then jumps to the reset vector in real mode.
const RESET_CODE: [u8; 7] = [0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];

/// Why a guest cannot be made ready to start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The kernel file.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The initial RAM disk.
    #[error(transparent)]
    Initrd(#[from] InitrdError),
    /// Guest memory could not be written.
    #[error("Failed to write boot parameters to guest memory")]
    Write(#[from] GuestMemoryError),
}

/// What a guest boots from, opened.
#[derive(Debug)]
pub struct BootFiles {
    /// The kernel.
    pub kernel: Image,
    /// The initial RAM disk, if any.
    pub initrd: Option<Initrd>,
    /// The kernel command line.
    pub command_line: CommandLine,
}

/// Loads kernel, initial RAM disk and boot parameters, and says how to enter the kernel.
/// `rsdp` is where the ACPI tables start.
///
/// # Errors
/// See [`BootError`].
pub fn load(
    files: &BootFiles,
    memory: &GuestRam,
    space: &AddressSpace,
    rsdp: GuestAddress,
) -> Result<Entry, BootError> {
    let kernel =
        load_kernel(&files.kernel, memory).map_err(|problem| files.kernel.error(problem))?;
    let line = files.command_line.to_c_string();
    let length = line.as_bytes().len();
    if length as u64 > kernel.command_line_limit {
        let problem = Problem::CommandLine { limit: kernel.command_line_limit, length };
        return Err(files.kernel.error(problem).into());
    }
    memory.write_slice(line.as_bytes_with_nul(), COMMAND_LINE)?;
    memory.write_slice(&RESET_CODE, RESET_VECTOR)?;
    mp_table::write(memory)?;
    let load = |initrd: &Initrd| -> Result<Range, InitrdError> {
        initrd.load(memory, space.low_ram, kernel.end, kernel.initrd_last)
    };
    let initrd = files.initrd.as_ref().map(load).transpose()?;
    let map = memory_map(space);
    match kernel.entry.protocol {
        Protocol::Pvh => start_info::write(memory, &map, initrd, rsdp)?,
        Protocol::Linux64 => {
            let page = zero_page::zero_page(kernel.header, &map, initrd, rsdp);
            memory.write_obj(page, ZERO_PAGE)?;
        }
    }
    Ok(kernel.entry)
}

/// What matters of a loaded kernel, whatever its format.
struct Kernel {
    entry: Entry,
    end: GuestAddress,
    header: linux_loader::bootparam::setup_header,
    initrd_last: u64,
    command_line_limit: u64,
}

fn load_kernel(image: &Image, memory: &GuestRam) -> Result<Kernel, Problem> {
    match image.format {
        Format::Elf => elf::load(image, memory).map(|loaded| Kernel {
            entry: loaded.entry,
            end: loaded.end,
            header: zero_page::bare_header(),
            initrd_last: INITRD_LAST,
            command_line_limit: u64::MAX,
        }),
        Format::BzImage => bzimage::load(image, memory).map(|loaded| Kernel {
            entry: loaded.entry,
            end: loaded.end,
            header: loaded.header,
            initrd_last: u64::from(loaded.header.initrd_addr_max),
            command_line_limit: u64::from(loaded.header.cmdline_size),
        }),
    }
}
