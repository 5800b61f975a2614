//! Filters of system calls (seccomp(2)), one for each kind of thread.
//!
//! A filter is a list of what is allowed, in the `lists` module. Anything else ends the process:
//! see [`prepare`]. The build script makes programs of the lists.

mod allocator;
#[cfg(test)]
mod ioctls;
mod kind;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod program;
#[cfg(test)]
mod rule;
#[cfg(test)]
mod tests;
mod violation;

use std::io;

use seccompiler::sock_filter;

pub use self::kind::ThreadKind;
pub use self::violation::VIOLATION_STATUS;

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// A filter that the kernel did not accept.
#[derive(Debug, thiserror::Error)]
#[error("failed to install the seccomp filter of a {} thread", kind.name())]
pub struct InstallError {
    kind: ThreadKind,
    #[source]
    source: seccompiler::Error,
}

/// Makes the process ready for filters, while it has one thread. From now on a forbidden system
/// call ends it with [`VIOLATION_STATUS`] and a line on standard error with the call's number,
/// arguments and kind of thread; otherwise it would be the kernel's signal, without a word. And
/// no allocation makes calls that are forbidden.
pub fn prepare() -> io::Result<()> {
    allocator::keep_to_one_arena()?;
    violation::report()
}

/// Confines the calling thread, to be done after the process's last fork, and the threads that it
/// starts from now on. There is no way back.
pub fn install(kind: ThreadKind) -> Result<(), InstallError> {
    violation::set_kind(kind);
    let mut program = program(kind).to_vec();
    let own_process = std::process::id();
    for instruction in program.iter_mut().filter(|instruction| instruction.k == OWN_PROCESS) {
        instruction.k = own_process;
    }
    seccompiler::apply_filter(&program).map_err(|source| InstallError { kind, source })
}
