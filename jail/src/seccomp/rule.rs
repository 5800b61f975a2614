//! System calls that a thread may make, as data.

use super::ioctls::Ioctl;

/// A demand on one argument of a system call. All arguments looked at are 32 bits wide for the
/// kernel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand {
    /// It is one of these.
    OneOf(&'static [u32]),
    /// It has none of these bits.
    Without(u32),
    /// It has all of these bits.
    With(u32),
    /// It is the id of this process.
    OwnProcess,
}

/// A system call, the index of an argument, and the demand on it.
pub(super) type Check = (libc::c_long, u8, Demand);

/// A set of allowed system calls.
pub(super) struct List {
    /// Whatever their arguments.
    pub(super) calls: &'static [libc::c_long],
    /// With arguments that meet a demand.
    pub(super) checks: &'static [Check],
    /// Requests of ioctl.
    pub(super) ioctls: &'static [&'static [Ioctl]],
    /// Calls that do as if the kernel were too old for them (ENOSYS).
    pub(super) unknown: &'static [libc::c_long],
}
