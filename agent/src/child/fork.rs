//! Forking, with namespaces and a control group from the start.

// For `clone3`, `setns` and leaving a child without unwinding.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    panic,
    sync::OnceLock,
};

use nix::libc;
use rustix::{
    process::Pid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::Place;

/// Namespaces to make for a child.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NewNamespaces {
    /// Mounts and the name of the machine.
    pub(crate) mounts: bool,
    /// Processes.
    pub(crate) processes: bool,
    /// System V and POSIX inter-process communication.
    pub(crate) ipc: bool,
}

impl NewNamespaces {
    fn flags(self) -> libc::c_int {
        let choose = |wanted, flags| if wanted { flags } else { 0 };
        choose(self.mounts, libc::CLONE_NEWNS | libc::CLONE_NEWUTS)
            | choose(self.processes, libc::CLONE_NEWPID)
            | choose(self.ipc, libc::CLONE_NEWIPC)
    }
}

/// The exit status of a child that panicked.
const PANICKED: i32 = 101;

/// The first descriptor that is not a standard one.
const FIRST: u32 = 3;

/// Runs `task` in a child, which ends with what it returns.
pub(super) fn fork(
    place: &Place<'_>,
    keep: &[BorrowedFd<'_>],
    task: impl FnOnce() -> u8,
) -> io::Result<Pid> {
    let Some(namespace) = place.pid_namespace else {
        return clone_here(place, keep, task);
    };
    let own = own_namespace()?;
    enter_for_children(namespace)?;
    let forked = clone_here(place, keep, task);
    enter_for_children(own.as_fd())?;
    forked
}

/// A child of a child, in the same namespaces and control group, without a channel. By fork(2), as
/// a container's filter of system calls may stand already, which refuses the other.
pub(crate) fn fork_again(keep: &[BorrowedFd<'_>], task: impl FnOnce() -> u8) -> io::Result<Pid> {
    // SAFETY: as in `clone_here`; this process has one thread too.
    let pid = unsafe { libc::fork() };
    continue_as(pid.into(), keep, task)
}

/// The agent's own process namespace, opened once: a path through `/proc` takes its time.
fn own_namespace() -> io::Result<&'static File> {
    static OWN: OnceLock<File> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own);
    }
    let own = File::open("/proc/self/ns/pid")?;
    Ok(OWN.get_or_init(|| own))
}

/// Moves the children to be, not this process, into a process namespace.
fn enter_for_children(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::ProcessID))?)
}

fn clone_here(
    place: &Place<'_>,
    keep: &[BorrowedFd<'_>],
    task: impl FnOnce() -> u8,
) -> io::Result<Pid> {
    let into_cgroup = place.cgroup.map_or(0, |_| CLONE_INTO_CGROUP);
    let flags = u64::try_from(place.namespaces.flags()).unwrap_or(0) | into_cgroup;
    let cgroup = place.cgroup.map_or(0, |fd| u64::try_from(fd.as_raw_fd()).unwrap_or(0));
    let arguments = libc::clone_args {
        flags,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: SIGCHLD,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup,
    };
    // SAFETY: without CLONE_VM and with no stack given this is fork(2): the child has a copy of
    // everything. The agent has one thread, so no lock is held by a thread that the child lacks.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
    };
    continue_as(pid, keep, task)
}

/// Goes on as the child or as its parent, by what the kernel returned to each.
fn continue_as(
    pid: libc::c_long,
    keep: &[BorrowedFd<'_>],
    task: impl FnOnce() -> u8,
) -> io::Result<Pid> {
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => run(keep, task),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            pid.ok_or_else(|| io::Error::other("clone3 returned no process id"))
        }
    }
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SIGCHLD: u64 = 17;

/// The child: never returns into the agent's code, whatever happens.
fn run(keep: &[BorrowedFd<'_>], task: impl FnOnce() -> u8) -> ! {
    // The agent's own hook would end the machine.
    panic::set_hook(Box::new(|panic| {
        crate::say!("in a child: {panic}");
        leave(PANICKED);
    }));
    close_all_but(keep);
    leave(i32::from(task()));
}

/// Ends a child without running what the agent has registered for its own end.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: takes nothing and does not return.
    unsafe { libc::_exit(code) }
}

/// Closes all but the standard descriptors and `keep`, in a child: so that what the agent closes
/// is closed.
pub(crate) fn close_all_but(keep: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> =
        keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    kept.sort_unstable();
    let mut first = FIRST;
    for fd in kept.into_iter().filter(|fd| *fd >= FIRST) {
        if fd > first {
            close_range(first, fd - 1);
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: what owns these descriptors is a copy of the agent's memory that the child neither
    // uses nor drops: it ends by `_exit` or by executing a program.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, last, 0);
    }
}
