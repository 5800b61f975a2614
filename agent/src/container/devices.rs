//! Which devices a container may use, wherever their nodes come from: a program of the kernel's on
//! its control group is asked about each (kernel, `admin-guide/cgroup-v2.rst`, "Device
//! controller").
//!
//! As with Docker, nodes of all devices can be made, and those of the harmless ones be opened. The
//! machine's own disks, memory and ports are none of these.

// For bpf(2).
#![allow(unsafe_code)]

use std::{
    ffi::{c_int, c_uint},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::OnceLock,
};

use nix::libc;

// Commands, kinds and flags of bpf(2) (linux/bpf.h).
const PROGRAM_LOAD: c_int = 5;
const PROGRAM_ATTACH: c_int = 8;
const OF_DEVICES: u32 = 15;
const ON_DEVICES: u32 = 6;
const BESIDE_OTHERS: u32 = 2;
const ACCESS_MKNOD: i32 = 1;
const KIND_CHARACTER: i32 = 2;

/// Major and minor numbers that may be opened (kernel, `admin-guide/devices.txt`): null, zero,
/// full, random, urandom, tty, ptmx.
const ALLOWED: [(i32, i32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
/// Major numbers of pseudo-terminals.
const TERMINALS: (i32, i32) = (136, 143);

// Registers: what the program gives back, its argument, and what it takes out of that
// (`struct bpf_cgroup_dev_ctx`).
const RESULT: u64 = 0;
const CONTEXT: u64 = 1;
const KIND: u64 = 2;
const MAJOR: u64 = 3;
const MINOR: u64 = 4;
const ACCESS: u64 = 5;

// Operations (RFC 9669).
const LOAD_WORD: u64 = 0x61;
const COPY: u64 = 0xbf;
const SHIFT_RIGHT: u64 = 0x77;
const AND: u64 = 0x57;
const SET: u64 = 0xb7;
const EXIT: u64 = 0x95;
const JUMP_EQUAL: u64 = 0x15;
const JUMP_OTHER: u64 = 0x55;
const JUMP_GREATER: u64 = 0x25;
const JUMP_LESS: u64 = 0xa5;

/// A program that the kernel has taken.
#[derive(Debug)]
pub(crate) struct DeviceFilter(OwnedFd);

impl DeviceFilter {
    /// Hands the program to the kernel.
    fn load() -> io::Result<Self> {
        /// The first fields of `union bpf_attr` for a program; the kernel takes the rest as 0.
        #[repr(C)]
        struct Load {
            kind: u32,
            length: u32,
            program: u64,
            licence: u64,
        }
        let program = program();
        let load = Load {
            kind: OF_DEVICES,
            length: u32::try_from(program.len()).unwrap_or(u32::MAX),
            program: address(program.as_ptr()),
            licence: address(c"Apache-2.0".as_ptr()),
        };
        let fd = bpf(PROGRAM_LOAD, &load)?;
        // SAFETY: the kernel has just made the descriptor for this call alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Asks the program about the devices of all processes in a control group from now on.
    fn attach(&self, group: BorrowedFd<'_>) -> io::Result<()> {
        #[repr(C)]
        struct Attach {
            group: c_int,
            program: c_int,
            place: u32,
            flags: u32,
        }
        let (group, program) = (group.as_raw_fd(), self.0.as_raw_fd());
        let attach = Attach { group, program, place: ON_DEVICES, flags: BESIDE_OTHERS };
        bpf(PROGRAM_ATTACH, &attach).map(drop)
    }
}

/// Closes the machine's devices to a control group.
pub(super) fn close(group: BorrowedFd<'_>) -> io::Result<()> {
    DeviceFilter::load()?.attach(group)
}

/// Whether the kernel knows such programs. Where it does not, containers can neither make nodes
/// nor use those of their image.
pub(crate) fn can_be_closed() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| DeviceFilter::load().is_ok())
}

/// An instruction: operation, registers, distance of a jump or offset, number.
fn instruction(operation: u64, to: u64, from: u64, offset: u16, number: i32) -> u64 {
    let number = u64::from(number.cast_unsigned());
    operation | to << 8 | from << 12 | u64::from(offset) << 16 | number << 32
}

fn answer(allowed: bool) -> [u64; 2] {
    [instruction(SET, RESULT, 0, 0, allowed.into()), instruction(EXIT, 0, 0, 0, 0)]
}

fn program() -> Vec<u64> {
    let load = |to, offset| instruction(LOAD_WORD, to, CONTEXT, offset, 0);
    let jump = |operation, of, number, over| instruction(operation, of, 0, over, number);
    // The first word is the kind of device, and above that the kind of access.
    let mut program = vec![load(KIND, 0), load(MAJOR, 4), load(MINOR, 8)];
    program.push(instruction(COPY, ACCESS, KIND, 0, 0));
    program.push(instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16));
    program.push(instruction(AND, KIND, 0, 0, 0xffff));
    program.push(jump(JUMP_OTHER, ACCESS, ACCESS_MKNOD, 2));
    program.extend(answer(true));
    program.push(jump(JUMP_EQUAL, KIND, KIND_CHARACTER, 2));
    program.extend(answer(false));
    for (major, minor) in ALLOWED {
        program.push(jump(JUMP_OTHER, MAJOR, major, 3));
        program.push(jump(JUMP_OTHER, MINOR, minor, 2));
        program.extend(answer(true));
    }
    program.push(jump(JUMP_LESS, MAJOR, TERMINALS.0, 3));
    program.push(jump(JUMP_GREATER, MAJOR, TERMINALS.1, 2));
    program.extend(answer(true));
    program.extend(answer(false));
    program
}

fn address<T>(pointer: *const T) -> u64 {
    // The kernel's interface has 64 bits for it on every machine.
    u64::try_from(pointer.addr()).unwrap_or(0)
}

fn bpf<T>(command: c_int, attributes: &T) -> io::Result<c_int> {
    let size = c_uint::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the structure, of the size given, and what it points to live as long as the call,
    // which only reads them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(c_int::try_from(result).unwrap_or(-1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_the_program() {
        match DeviceFilter::load() {
            Ok(_) => assert!(can_be_closed()),
            // No root, or a kernel without such programs; what is wrong with the program itself
            // would be EACCES or EINVAL.
            Err(error) => {
                eprintln!("skipped: {error}");
                let code = error.raw_os_error();
                assert!(matches!(code, Some(libc::EPERM | libc::ENOSYS)), "{error}");
            }
        }
    }
}
