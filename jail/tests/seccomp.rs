//! Filters in force. Each test confines a child process, as there is no way back.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use jail::seccomp::{ThreadKind, VIOLATION_STATUS, install, prepare};

/// Status of a child that got to the end.
const DONE: i32 = 42;

/// Runs `f` in a child confined as `kind`; returns how it ended and its standard error.
fn confined(kind: ThreadKind, f: impl FnOnce()) -> (ExitStatus, String) {
    let mut pipe = [0; 2];
    // SAFETY: the array has room for two descriptors.
    assert_eq!(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: both were just made and belong to nobody else.
    let [mut reader, writer] = pipe.map(|fd| unsafe { File::from_raw_fd(fd) });
    // SAFETY: the child has one thread and ends by _exit, without running what belongs to the
    // parent.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: plain descriptor numbers.
        unsafe { libc::dup2(writer.as_raw_fd(), libc::STDERR_FILENO) };
        prepare().expect("a process with one thread");
        install(kind).expect("a filter");
        f();
        // SAFETY: ends the child.
        unsafe { libc::_exit(DONE) };
    }
    drop(writer);
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("a pipe is read");
    let mut status = 0;
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    (ExitStatus::from_raw(status), said)
}

/// Makes a system call with three arguments.
fn call(number: libc::c_long, a: i64, b: i64, c: i64) -> i64 {
    // SAFETY: the tests pass no pointers but null.
    unsafe { libc::syscall(number, a, b, c) }
}

/// The same where it does not matter what comes of it.
fn attempt(number: libc::c_long, a: i64, b: i64, c: i64) {
    let _ = call(number, a, b, c);
}

fn assert_allowed(kind: ThreadKind, f: impl FnOnce()) {
    let (status, said) = confined(kind, f);
    assert_eq!(status.code(), Some(DONE), "{said}");
}

fn assert_forbidden(kind: ThreadKind, number: libc::c_long, f: impl FnOnce()) {
    let (status, said) = confined(kind, f);
    assert_eq!(status.code(), Some(VIOLATION_STATUS.into()), "{said}");
    assert!(said.starts_with(&format!("forbidden system call {number} (")), "{said}");
    assert!(said.ends_with(&format!(" on a {} thread\n", kind.name())), "{said}");
}

#[test]
fn every_kind_can_allocate_lock_wait_and_write() {
    for kind in ThreadKind::ALL {
        assert_allowed(kind, || {
            let large = vec![1u8; 8 << 20];
            let (sender, receiver) = std::sync::mpsc::channel();
            sender.send(large.len()).unwrap();
            assert_eq!(receiver.recv().unwrap(), 8 << 20);
            std::thread::sleep(std::time::Duration::from_millis(1));
            eprintln!("{kind:?} at {:?}", std::time::Instant::now());
        });
    }
}

#[test]
fn no_kind_can_execute_trace_or_mount() {
    for kind in ThreadKind::ALL {
        for number in [libc::SYS_execve, libc::SYS_ptrace, libc::SYS_mount, libc::SYS_kill] {
            assert_forbidden(kind, number, || attempt(number, 0, 0, 0));
        }
    }
}

#[test]
fn no_kind_can_make_memory_executable() {
    let write_execute = i64::from(libc::PROT_WRITE | libc::PROT_EXEC);
    for kind in ThreadKind::ALL {
        for number in [libc::SYS_mmap, libc::SYS_mprotect] {
            assert_forbidden(kind, number, || attempt(number, 0, 4096, write_execute));
        }
    }
}

#[test]
fn only_the_main_thread_and_file_servers_open_files() {
    let openers = [ThreadKind::Main, ThreadKind::FileServer];
    for kind in openers {
        assert_allowed(kind, || drop(File::open("/dev/null").unwrap()));
    }
    for kind in ThreadKind::ALL.into_iter().filter(|kind| !openers.contains(kind)) {
        assert_forbidden(kind, libc::SYS_openat, || drop(File::open("/dev/null")));
    }
}

#[test]
fn processor_thread_runs_the_guest_and_has_no_sockets() {
    const KVM_RUN: i64 = 0xae80;
    const KVM_CREATE_VM: i64 = 0xae01;
    // There is no such descriptor, which only a call that was allowed can tell.
    assert_allowed(ThreadKind::Vcpu, || assert_eq!(call(libc::SYS_ioctl, -1, KVM_RUN, 0), -1));
    let create = || attempt(libc::SYS_ioctl, -1, KVM_CREATE_VM, 0);
    assert_forbidden(ThreadKind::Vcpu, libc::SYS_ioctl, create);
    let unix = i64::from(libc::AF_UNIX);
    let socket = || attempt(libc::SYS_socket, unix, 1, 0);
    assert_forbidden(ThreadKind::Vcpu, libc::SYS_socket, socket);
}

#[test]
fn devices_get_sockets_of_this_host_only() {
    let unix = i64::from(libc::AF_UNIX);
    assert_allowed(ThreadKind::DeviceLoop, || {
        assert!(call(libc::SYS_socket, unix, 1, 0) >= 0);
    });
    let internet = || attempt(libc::SYS_socket, libc::AF_INET.into(), 1, 0);
    assert_forbidden(ThreadKind::DeviceLoop, libc::SYS_socket, internet);
    for kind in [ThreadKind::FileServer, ThreadKind::Api, ThreadKind::Signals, ThreadKind::Metrics]
    {
        assert_forbidden(kind, libc::SYS_socket, || attempt(libc::SYS_socket, unix, 1, 0));
    }
}

#[test]
fn devices_route_interrupts_but_do_not_change_the_machine() {
    const KVM_SET_GSI_ROUTING: i64 = 0x4008_ae6a;
    const KVM_SET_USER_MEMORY_REGION: i64 = 0x4020_ae46;
    assert_allowed(ThreadKind::DeviceLoop, || {
        assert_eq!(call(libc::SYS_ioctl, -1, KVM_SET_GSI_ROUTING, 0), -1);
    });
    let map = || attempt(libc::SYS_ioctl, -1, KVM_SET_USER_MEMORY_REGION, 0);
    assert_forbidden(ThreadKind::DeviceLoop, libc::SYS_ioctl, map);
    assert_forbidden(ThreadKind::Vcpu, libc::SYS_ioctl, map);
}

#[test]
fn threads_can_be_signalled_within_the_process_only() {
    let probe = |process: u32| {
        // SAFETY: no pointers.
        let thread = unsafe { libc::gettid() };
        attempt(libc::SYS_tgkill, process.into(), thread.into(), 0);
    };
    assert_allowed(ThreadKind::Main, || probe(std::process::id()));
    let parent = std::process::id();
    assert_forbidden(ThreadKind::Main, libc::SYS_tgkill, || probe(parent));
}

#[test]
fn main_thread_starts_confined_threads_and_no_processes() {
    assert_allowed(ThreadKind::Main, || {
        let thread = std::thread::Builder::new().name("vcpu0".into()).spawn(|| {
            install(ThreadKind::Vcpu).unwrap();
            call(libc::SYS_ioctl, -1, 0xae80, 0)
        });
        assert_eq!(thread.unwrap().join().unwrap(), -1);
    });
    assert_forbidden(ThreadKind::Main, libc::SYS_clone, || {
        attempt(libc::SYS_clone, libc::SIGCHLD.into(), 0, 0);
    });
}

#[test]
fn thread_that_main_started_is_reported_by_its_own_kind() {
    let (status, said) = confined(ThreadKind::Main, || {
        let thread = std::thread::spawn(|| {
            install(ThreadKind::Vcpu).unwrap();
            File::open("/dev/null")
        });
        drop(thread.join());
    });
    assert_eq!(status.code(), Some(VIOLATION_STATUS.into()), "{said}");
    assert!(
        said.contains("forbidden system call 257 ") && said.contains("a vcpu thread"),
        "{said}"
    );
}
