//! From files to a guest that can start: kernel, initial RAM disk, command line, memory map.
//!
//! A kernel comes as ELF (`vmlinux`) or bzImage, found out by its magic. It is started by one
//! of two protocols: PVH (32-bit entry named by an ELF note, `hvm_start_info`) where the ELF
//! file offers it, else the Linux 64-bit entry (`boot_params`).

pub mod bzimage;
pub mod command_line;
pub mod elf;
pub mod image;
pub mod initrd;
pub mod load;
pub mod memory_map;
mod mp_table;
pub mod pvh_note;
pub mod start_info;
pub mod zero_page;

pub use command_line::{CommandLine, CommandLineError};
pub use image::{Image, KernelError, Problem};
pub use initrd::InitrdError;
pub use load::{BootError, BootFiles, load};

use vm_memory::GuestAddress;

/// How the boot processor enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Xen's PVH: 32-bit protected mode, EBX = `hvm_start_info`.
    Pvh,
    /// Linux 64-bit boot protocol: long mode, RSI = `boot_params`.
    Linux64,
}

/// Where and how the boot processor starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// State that the entry point expects.
    pub protocol: Protocol,
    /// Address of the first instruction.
    pub address: GuestAddress,
}
