//! Doorbells: guest writes that signal an eventfd without an exit to user space.

use std::io;

use vmm_sys_util::eventfd::EventFd;

/// Binds memory-mapped addresses to eventfds in the hypervisor (KVM's ioeventfd).
pub trait Doorbells: Send + Sync {
    /// From now on a guest write at `addr` signals `event`: any write where `datamatch` is
    /// `None`, else a 4-byte write of that value.
    fn bind(&self, addr: u64, datamatch: Option<u32>, event: &EventFd) -> io::Result<()>;

    /// Undoes a [`bind`](Self::bind) with the same arguments.
    fn unbind(&self, addr: u64, datamatch: Option<u32>, event: &EventFd) -> io::Result<()>;
}
