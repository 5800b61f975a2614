//! Getting a vCPU out of the guest.
#![allow(unsafe_code)]

use std::io;
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

use kvm_bindings::kvm_run;
use kvm_ioctls::VcpuFd;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

const PAGE: usize = 4096;

/// The signal that interrupts `KVM_RUN`.
pub fn signal() -> libc::c_int {
    SIGRTMIN()
}

extern "C" fn ignore(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

/// Installs the handler of [`signal`], once per process: it does nothing, but a signal that is
/// handled interrupts system calls.
///
/// # Errors
/// When the host refuses the handler.
pub fn install_handler() -> Result<(), vmm_sys_util::errno::Error> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| result = register_signal_handler(signal(), ignore));
    result
}

/// The `immediate_exit` flag of one vCPU, shared with KVM: while it is set, `KVM_RUN` returns
/// with `EINTR` before it enters the guest.
#[derive(Debug)]
pub struct ImmediateExit {
    page: NonNull<u8>,
}

// SAFETY: the page is only accessed through atomic operations on one byte of it.
unsafe impl Send for ImmediateExit {}
// SAFETY: as above.
unsafe impl Sync for ImmediateExit {}

impl ImmediateExit {
    /// Maps the flag of `vcpu`.
    ///
    /// # Errors
    /// When the host refuses the mapping.
    pub fn new(vcpu: &VcpuFd) -> io::Result<Self> {
        // SAFETY: a new shared mapping of the first page of the vCPU's run area, which is at
        // least one page long; no existing mapping is touched.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                vcpu.as_raw_fd(),
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast()).map(|page| Self { page }).ok_or(io::ErrorKind::OutOfMemory.into())
    }

    /// Sets or clears the flag.
    pub fn set(&self, value: bool) {
        const OFFSET: usize = offset_of!(kvm_run, immediate_exit);
        const { assert!(OFFSET < PAGE) };
        // SAFETY: the byte lies in the mapped page, which lives as long as `self`; KVM only
        // reads it, and everybody in this process goes through this atomic.
        let flag = unsafe { AtomicU8::from_ptr(self.page.as_ptr().add(OFFSET)) };
        flag.store(u8::from(value), Ordering::Release);
    }
}

impl Drop for ImmediateExit {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `new` with this length and is not used any more.
        unsafe { libc::munmap(self.page.as_ptr().cast(), PAGE) };
    }
}
