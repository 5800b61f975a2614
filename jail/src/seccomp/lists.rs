//! What each kind of thread needs of the kernel.
//!
//! No thread executes programs, traces, mounts, or maps executable memory. Add a call where a
//! thread has come to need it, with the narrowest demand on its arguments.

use libc::c_long;

use super::ioctls;
use super::kind::ThreadKind;
use super::rule::Demand::{OneOf, OwnProcess, With, Without};
use super::rule::{Check, List};

const PROT_EXEC: u32 = libc::PROT_EXEC as u32;
const AF_UNIX: u32 = libc::AF_UNIX as u32;
/// What makes a clone a thread.
const THREAD: u32 = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u32;

/// Not in libc yet (linux/prctl.h).
const PR_GET_AUXV: u32 = 0x4155_5856;

/// fcntl commands, all of which concern one descriptor only.
const FCNTL: &[u32] = &[
    libc::F_GETFD as u32,
    libc::F_SETFD as u32,
    libc::F_GETFL as u32,
    libc::F_SETFL as u32,
    libc::F_DUPFD_CLOEXEC as u32,
];

/// Memory, locks, time, waiting, and bytes through descriptors that are open: every thread.
const COMMON: List = List {
    calls: &[
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_lseek,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_ctl,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_eventfd2,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_nanosleep,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_rseq,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_set_robust_list,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ],
    checks: &[
        (libc::SYS_mmap, 2, Without(PROT_EXEC)),
        (libc::SYS_mprotect, 2, Without(PROT_EXEC)),
        (libc::SYS_fcntl, 1, OneOf(FCNTL)),
        // The second reads what the kernel told the process at its start (rustix, once).
        (libc::SYS_prctl, 0, OneOf(&[libc::PR_SET_NAME as u32, PR_GET_AUXV])),
        // Wakes another thread, or ends this process.
        (libc::SYS_tgkill, 0, OwnProcess),
    ],
    ioctls: &[],
    unknown: &[],
};

/// Runs the guest. Its exits set up queues and interrupts.
const VCPU: List = List {
    calls: &[],
    checks: &[],
    ioctls: &[ioctls::VCPU, ioctls::INTERRUPTS, ioctls::DOORBELLS],
    unknown: &[],
};

/// Sockets that are open.
const SOCKETS: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
];

/// The API: sockets that are open.
const API: List = List { calls: SOCKETS, checks: &[], ioctls: &[ioctls::FILES], unknown: &[] };

/// A socket of this host, to a path or to nowhere.
const UNIX_SOCKETS: &[Check] =
    &[(libc::SYS_socket, 0, OneOf(&[AF_UNIX])), (libc::SYS_socketpair, 0, OneOf(&[AF_UNIX]))];

/// Backends of devices.
const DEVICE_SOCKETS: List =
    List { calls: SOCKETS, checks: UNIX_SOCKETS, ioctls: &[], unknown: &[] };

/// Serves devices: files, block devices, taps, sockets; guests call host sockets by path.
const DEVICE_FILES: List = List {
    calls: &[
        libc::SYS_pread64,
        libc::SYS_pwrite64,
        libc::SYS_preadv,
        libc::SYS_pwritev,
        libc::SYS_preadv2,
        libc::SYS_pwritev2,
        libc::SYS_fallocate,
        libc::SYS_ftruncate,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_flock,
        libc::SYS_statx,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_register,
        libc::SYS_io_uring_enter,
        libc::SYS_timerfd_create,
        libc::SYS_timerfd_settime,
        // A vsock device's end removes its socket.
        libc::SYS_connect,
        libc::SYS_newfstatat,
        libc::SYS_unlinkat,
    ],
    checks: &[(libc::SYS_fcntl, 1, OneOf(&[libc::F_OFD_SETLK as u32, libc::F_OFD_GETLK as u32]))],
    ioctls: &[ioctls::FILES, ioctls::BLOCK, ioctls::TAP, ioctls::INTERRUPTS],
    unknown: &[],
};

/// Serves folders of the host. All names are looked up from descriptors; a filter cannot see that,
/// nor the paths.
const FILE_SERVER: List = List {
    calls: &[
        libc::SYS_preadv,
        libc::SYS_pwritev,
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_statx,
        libc::SYS_fstatfs,
        libc::SYS_readlinkat,
        libc::SYS_mkdirat,
        libc::SYS_mknodat,
        libc::SYS_symlinkat,
        libc::SYS_linkat,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_fchmodat,
        libc::SYS_fchownat,
        libc::SYS_utimensat,
        libc::SYS_ftruncate,
        libc::SYS_fallocate,
        libc::SYS_copy_file_range,
        libc::SYS_getdents64,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_syncfs,
        libc::SYS_getxattr,
        libc::SYS_setxattr,
        libc::SYS_listxattr,
        libc::SYS_removexattr,
        // Whom it acts for, within the capabilities that it keeps.
        libc::SYS_setfsuid,
        libc::SYS_setfsgid,
        libc::SYS_capget,
        libc::SYS_capset,
        libc::SYS_geteuid,
        libc::SYS_getegid,
        // A working directory and umask of its own.
        libc::SYS_fchdir,
        libc::SYS_umask,
    ],
    checks: &[(libc::SYS_unshare, 0, OneOf(&[libc::CLONE_FS as u32]))],
    ioctls: &[ioctls::INTERRUPTS],
    unknown: &[],
};

/// The owner of the machine: changes it while it runs, opens what it is given for that, starts
/// threads, and clears up.
const MAIN: List = List {
    calls: &[
        libc::SYS_openat,
        libc::SYS_readlink,
        libc::SYS_unlink,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_pipe2,
        libc::SYS_epoll_create1,
        libc::SYS_signalfd4,
        libc::SYS_timerfd_gettime,
        libc::SYS_memfd_create,
        libc::SYS_rt_sigaction,
        libc::SYS_prlimit64,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_uname,
    ],
    checks: &[
        (libc::SYS_clone, 0, With(THREAD)),
        // For the filters of threads to come.
        (libc::SYS_prctl, 0, OneOf(&[libc::PR_SET_NO_NEW_PRIVS as u32])),
        (libc::SYS_seccomp, 0, OneOf(&[libc::SECCOMP_SET_MODE_FILTER])),
    ],
    ioctls: &[ioctls::MACHINE, ioctls::OPEN_TAP, ioctls::TERMINAL, ioctls::OPEN_PTY],
    // Its arguments are in memory, where a filter cannot see whether it makes a thread; the C
    // library then uses clone.
    unknown: &[libc::SYS_clone3],
};

/// Waits for signals. One that comes before there is a machine removes the sockets' files.
const SIGNALS: List = List {
    calls: &[
        libc::SYS_rt_sigtimedwait,
        libc::SYS_statx,
        libc::SYS_unlink,
        libc::SYS_newfstatat,
        libc::SYS_unlinkat,
    ],
    checks: &[],
    ioctls: &[],
    unknown: &[],
};

/// What a kind of threads may do. Threads inherit filters, so the main thread, which may start
/// others, is allowed what they are; those that serve folders are started before it is confined.
pub(super) fn of(kind: ThreadKind) -> Vec<&'static List> {
    match kind {
        ThreadKind::Main => vec![&COMMON, &VCPU, &API, &DEVICE_SOCKETS, &DEVICE_FILES, &MAIN],
        ThreadKind::Vcpu => vec![&COMMON, &VCPU],
        ThreadKind::DeviceLoop => vec![&COMMON, &DEVICE_SOCKETS, &DEVICE_FILES],
        ThreadKind::FileServer => vec![&COMMON, &FILE_SERVER],
        ThreadKind::Api => vec![&COMMON, &API],
        ThreadKind::Signals => vec![&COMMON, &SIGNALS],
        ThreadKind::Metrics => vec![&COMMON],
    }
}
