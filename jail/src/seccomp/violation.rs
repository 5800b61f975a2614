//! What happens when a thread does what its filter forbids.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt::Write;
use std::io;

use super::ThreadKind;

/// Status of a process that ended because of a forbidden system call. Firecracker's is the same.
pub const VIOLATION_STATUS: u8 = 148;

/// `si_code` of a SIGSYS from a filter (asm-generic/siginfo.h).
const SYS_SECCOMP: libc::c_int = 1;

thread_local! {
    /// The filter of this thread. Constant and without a destructor, so that a signal handler can
    /// read it.
    static KIND: Cell<Option<ThreadKind>> = const { Cell::new(None) };
}

pub(super) fn set_kind(kind: ThreadKind) {
    KIND.set(Some(kind));
}

/// Sets the handler of forbidden system calls.
pub(super) fn report() -> io::Result<()> {
    // SAFETY: a zeroed sigaction is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and does only what is
    // allowed in a signal handler.
    let result = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel says of a SIGSYS (sigaction(2)), as far as it is of use.
#[repr(C)]
struct SigsysInfo {
    signo: libc::c_int,
    errno: libc::c_int,
    code: libc::c_int,
    call_addr: *mut libc::c_void,
    syscall: libc::c_int,
}

extern "C" fn handle(_: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a siginfo of 128 bytes, whose start for SIGSYS is this.
    let info = unsafe { &*info.cast::<SigsysInfo>() };
    // SAFETY: with SA_SIGINFO the third argument is the context of the interrupted thread.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let argument = |register: libc::c_int| registers[register as usize];
    let mut line = Line { bytes: [0; 200], len: 0 };
    let kind = KIND.get().map_or("unconfined", ThreadKind::name);
    // A line that is too long is cut.
    let _ = if info.code == SYS_SECCOMP {
        let arguments = [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX].map(argument);
        let [a, b, c] = arguments;
        let call = info.syscall;
        writeln!(line, "forbidden system call {call} ({a:#x}, {b:#x}, {c:#x}) on a {kind} thread")
    } else {
        writeln!(line, "SIGSYS received by a {kind} thread")
    };
    // SAFETY: the bytes are initialized; both calls may be made in a signal handler.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.len);
        libc::_exit(VIOLATION_STATUS.into());
    }
}

/// Text without allocation.
struct Line {
    bytes: [u8; 200],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let rest = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = text.len().min(rest.len());
        for (to, from) in rest.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.len += len;
        Ok(())
    }
}
