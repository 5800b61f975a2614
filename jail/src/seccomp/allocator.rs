//! The allocator of threads that open no files.
#![allow(unsafe_code)]

use std::io;

/// Has all threads allocate from the one arena of the C library that grows by brk(2).
///
/// The others come with calls that no filter expects of an allocation, and that depend on how
/// threads meet: with the first memory that it gives back, glibc reads
/// `/proc/sys/vm/overcommit_memory`, and with the ninth arena that it makes,
/// `/sys/devices/system/cpu/online`.
#[cfg(target_env = "gnu")]
pub(super) fn keep_to_one_arena() -> io::Result<()> {
    // SAFETY: it takes numbers, and no thread but this one allocates.
    let done = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    if done == 1 { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// Other C libraries have one arena.
#[cfg(not(target_env = "gnu"))]
pub(super) fn keep_to_one_arena() -> io::Result<()> {
    Ok(())
}
