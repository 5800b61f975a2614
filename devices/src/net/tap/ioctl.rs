//! The system calls that taps need (`linux/if_tun.h`).
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_uint, c_ulong};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use bitflags::bitflags;
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref, ioctl_with_val};
use vmm_sys_util::{ioctl_ior_nr, ioctl_iow_nr};

use crate::net::Offloads;

/// The ioctl type of the tun driver.
const TUN_TYPE: c_uint = b'T' as c_uint;

ioctl_iow_nr!(TUNSETIFF, TUN_TYPE, 202, c_int);
ioctl_iow_nr!(TUNSETOFFLOAD, TUN_TYPE, 208, c_uint);
ioctl_ior_nr!(TUNGETIFF, TUN_TYPE, 210, c_uint);
ioctl_iow_nr!(TUNSETVNETHDRSZ, TUN_TYPE, 216, c_int);
ioctl_iow_nr!(TUNSETQUEUE, TUN_TYPE, 217, c_int);

bitflags! {
    /// How a tap is attached to (IFF_*).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct TapFlags: i16 {
        /// Ethernet frames, not IP packets.
        const TAP = 0x0002;
        /// Several queues.
        const MULTI_QUEUE = 0x0100;
        /// Puts a queue back.
        const ATTACH_QUEUE = 0x0200;
        /// Takes a queue out.
        const DETACH_QUEUE = 0x0400;
        /// No four bytes of packet information in front.
        const NO_PI = 0x1000;
        /// A virtio header in front.
        const VNET_HDR = 0x4000;
    }
}

/// What an open descriptor is attached to.
pub(super) struct InterfaceFlags {
    pub(super) name: String,
    pub(super) flags: TapFlags,
}

fn request() -> libc::ifreq {
    // SAFETY: a structure of numbers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Attaches `fd` to the interface `name`, shorter than IFNAMSIZ.
pub(super) fn attach(fd: BorrowedFd<'_>, name: &str, flags: TapFlags) -> io::Result<()> {
    let mut request = request();
    let last = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(last).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags.bits();
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    check(unsafe { ioctl_with_mut_ref(&fd.as_raw_fd(), TUNSETIFF(), &mut request) })
}

/// What `fd` is attached to.
pub(super) fn interface(fd: BorrowedFd<'_>) -> io::Result<InterfaceFlags> {
    let mut request = request();
    // SAFETY: TUNGETIFF writes one ifreq.
    check(unsafe { ioctl_with_mut_ref(&fd.as_raw_fd(), TUNGETIFF(), &mut request) })?;
    let name = request.ifr_name.map(|c| c as u8);
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    // SAFETY: TUNGETIFF fills in the flags, and any bits are an i16.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(InterfaceFlags {
        name: name.to_string_lossy().into_owned(),
        flags: TapFlags::from_bits_retain(flags),
    })
}

/// Sets the length of the header in front of each frame.
pub(super) fn set_header_len(fd: BorrowedFd<'_>, len: c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one int.
    check(unsafe { ioctl_with_ref(&fd.as_raw_fd(), TUNSETVNETHDRSZ(), &len) })
}

/// Sets what may be asked of the reader. The bits of [`Offloads`] are those of TUN_F_*.
pub(super) fn set_offloads(fd: BorrowedFd<'_>, offloads: Offloads) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes a number and no memory.
    check(unsafe {
        ioctl_with_val(&fd.as_raw_fd(), TUNSETOFFLOAD(), c_ulong::from(offloads.bits()))
    })
}

/// Takes the queue out of its interface or puts it back.
pub(super) fn set_enabled(fd: BorrowedFd<'_>, enabled: bool) -> io::Result<()> {
    let mut request = request();
    let flags = if enabled { TapFlags::ATTACH_QUEUE } else { TapFlags::DETACH_QUEUE };
    request.ifr_ifru.ifru_flags = flags.bits();
    // SAFETY: TUNSETQUEUE reads one ifreq.
    check(unsafe { ioctl_with_ref(&fd.as_raw_fd(), TUNSETQUEUE(), &request) })
}
