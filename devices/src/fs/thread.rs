//! What belongs to the thread that serves: a working directory and a umask of its own, and the
//! user that it acts for.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

/// With these a thread may do to all files what their owners may, and give them to others.
pub const NEEDED_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// Prepares the calling thread, and no other: files are made with the mode that the guest wants,
/// and a number as a path is the file of that descriptor, which is how extended attributes of
/// what is only named (O_PATH) are reached.
pub(super) fn prepare(descriptors: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: only the working directory, root and umask become the thread's own; no descriptor
    // or memory is concerned.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS)? };
    rustix::process::fchdir(descriptors)?;
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// The thread's capabilities, if it has all that it takes to act for others.
pub(super) fn privileged() -> Option<CapabilitySets> {
    let sets = rustix::thread::capabilities(None).ok()?;
    let is_root = rustix::process::geteuid().is_root();
    (is_root && sets.effective.contains(NEEDED_CAPABILITIES)).then_some(sets)
}

/// As long as this lives, what the thread makes belongs to a user of the guest.
pub(super) struct ActingFor(());

impl ActingFor {
    /// Acts for user and group with all of the thread's `capabilities`: whether the user may has
    /// been decided in the guest.
    pub(super) fn user(uid: u32, gid: u32, capabilities: CapabilitySets) -> Result<Self, Errno> {
        let acting = Self(());
        if gid != 0 && set_group(gid) != gid {
            return Err(Errno::OVERFLOW);
        }
        if uid != 0 {
            if set_user(uid) != uid {
                return Err(Errno::OVERFLOW);
            }
            // Those for files were dropped with the user (capabilities(7)).
            rustix::thread::set_capabilities(None, capabilities)?;
        }
        Ok(acting)
    }
}

impl Drop for ActingFor {
    fn drop(&mut self) {
        set_user(0);
        set_group(0);
    }
}

/// Sets the thread's user for files, and gives the one that it then is. These calls of the C
/// library concern the calling thread only, unlike those for other ids.
fn set_user(uid: u32) -> u32 {
    // SAFETY: no memory is concerned.
    unsafe {
        libc::setfsuid(uid);
        // An impossible id changes nothing and tells.
        libc::setfsuid(u32::MAX).cast_unsigned()
    }
}

fn set_group(gid: u32) -> u32 {
    // SAFETY: as above.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsgid(u32::MAX).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_acted_for_until_the_end_and_capabilities_stay() {
        let Some(sets) = privileged() else { return };
        let acting = ActingFor::user(1234, 5678, sets).unwrap();
        assert_eq!((set_user(u32::MAX), set_group(u32::MAX)), (1234, 5678));
        assert_eq!(rustix::thread::capabilities(None).unwrap().effective, sets.effective);
        drop(acting);
        assert_eq!((set_user(u32::MAX), set_group(u32::MAX)), (0, 0));
        assert_eq!(rustix::thread::capabilities(None).unwrap().effective, sets.effective);
    }

    #[test]
    fn impossible_user_is_refused() {
        let Some(sets) = privileged() else { return };
        assert_eq!(ActingFor::user(u32::MAX, 0, sets).err(), Some(Errno::OVERFLOW));
        assert_eq!((set_user(u32::MAX), set_group(u32::MAX)), (0, 0));
    }
}
