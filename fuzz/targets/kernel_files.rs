//! Kernel files: what loads starts within the guest's memory, what does not is an error.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use vm_memory::{GuestAddress, GuestMemoryBackend};
use vmm::boot::{BootFiles, CommandLine, Image, initrd::Initrd, load};
use vmm::memory::{AddressSpace, Backing, Pages, allocate};

const MEMORY: u64 = 32 << 20;
/// Pages behind the given bytes, so that headers may point somewhere.
const MAX_TAIL: u64 = 64;

/// What comes before the kernel in an input.
const PREFIX: usize = 5;

fn file(bytes: &[u8], len: u64) -> File {
    let file = File::from(memfd_create(c"fuzz", MemfdFlags::CLOEXEC).expect("a file"));
    file.write_all_at(bytes, 0).expect("it is written");
    file.set_len(len.max(bytes.len() as u64)).expect("it grows");
    file
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[flags, tail, words, initrd_low, initrd_high], kernel)) =
        bytes.split_first_chunk::<PREFIX>()
    else {
        return;
    };
    let (memfd, has_initrd) = (flags & 2 != 0, flags & 4 != 0);
    let tail = 4096 * (u64::from(tail) % MAX_TAIL);
    let kernel = file(kernel, kernel.len() as u64 + tail);
    let Ok(kernel) = Image::new(kernel, Path::new("kernel")) else { return };
    let text = "longer than it is useful ".repeat(usize::from(words));
    let Ok(command_line) = CommandLine::new(&text) else { return };
    let len = u64::from(u16::from_le_bytes([initrd_low, initrd_high]));
    let initrd = has_initrd.then(|| file(&[], len * 1001));
    let initrd = initrd.and_then(|file| Initrd::new(file, Path::new("initrd")).ok());
    let space = AddressSpace::new(MEMORY, 46).expect("a layout");
    let backing = if memfd { Backing::Memfd } else { Backing::Anonymous };
    let memory = allocate(&space, backing, Pages::Normal).expect("memory");
    let files = BootFiles { kernel, initrd, command_line };
    if let Ok(entry) = load(&files, &memory, &space, GuestAddress(0xe_0000)) {
        assert!(memory.address_in_range(entry.address), "the guest starts outside its memory");
    }
});
