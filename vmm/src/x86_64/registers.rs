//! Registers of the boot processor. The others wait for their start-up interrupt in the state
//! that reset leaves them in, which KVM provides.

use devices::memory::GuestRam;
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_sregs};
use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::gdt::{self, Width};
use super::paging;
use crate::boot::{Entry, Protocol};
use crate::memory::layout::{BOOT_STACK_TOP, GDT, IDT, START_INFO, ZERO_PAGE};

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// Bit 1 of RFLAGS always reads as 1.
const RFLAGS_RESERVED: u64 = 2;

/// Why the boot processor cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum RegistersError {
    /// Tables in guest memory.
    #[error("Failed to write descriptor and page tables to guest memory")]
    Tables(#[source] GuestMemoryError),
    /// KVM refused.
    #[error("Failed to {operation} of the boot processor")]
    Kvm {
        /// What was being done.
        operation: &'static str,
        /// KVM's reason.
        #[source]
        source: kvm_ioctls::Error,
    },
}

/// Writes the tables that `entry` needs into guest memory and returns the value of CR3.
///
/// # Errors
/// When guest memory cannot be written.
pub fn write_tables(memory: &GuestRam, entry: Entry) -> Result<u64, RegistersError> {
    let write = || -> Result<u64, GuestMemoryError> {
        for (address, entry) in (GDT.0..).step_by(8).zip(gdt::table(width(entry))) {
            memory.write_obj(entry, GuestAddress(address))?;
        }
        memory.write_obj(0_u64, IDT)?;
        match entry.protocol {
            Protocol::Pvh => Ok(0),
            Protocol::Linux64 => paging::write(memory),
        }
    };
    write().map_err(RegistersError::Tables)
}

/// Puts the boot processor at `entry`.
///
/// # Errors
/// When KVM refuses the registers.
pub fn set(vcpu: &VcpuFd, entry: Entry, cr3: u64) -> Result<(), RegistersError> {
    let failed = |operation| move |source| RegistersError::Kvm { operation, source };
    let reset = vcpu.get_sregs().map_err(failed("read the system registers"))?;
    vcpu.set_sregs(&system(reset, entry, cr3)).map_err(failed("set the system registers"))?;
    vcpu.set_regs(&general(entry)).map_err(failed("set the registers"))
}

fn width(entry: Entry) -> Width {
    match entry.protocol {
        Protocol::Pvh => Width::Bits32,
        Protocol::Linux64 => Width::Bits64,
    }
}

fn general(entry: Entry) -> kvm_regs {
    let regs = kvm_regs { rflags: RFLAGS_RESERVED, rip: entry.address.0, ..kvm_regs::default() };
    match entry.protocol {
        Protocol::Pvh => kvm_regs { rbx: START_INFO.0, ..regs },
        Protocol::Linux64 => {
            kvm_regs { rsi: ZERO_PAGE.0, rsp: BOOT_STACK_TOP.0, rbp: BOOT_STACK_TOP.0, ..regs }
        }
    }
}

fn system(reset: kvm_sregs, entry: Entry, cr3: u64) -> kvm_sregs {
    let data = gdt::data();
    let sregs = kvm_sregs {
        cs: gdt::code(width(entry)),
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: gdt::task(),
        gdt: kvm_dtable { base: GDT.0, limit: 5 * 8 - 1, ..kvm_dtable::default() },
        idt: kvm_dtable { base: IDT.0, limit: 7, ..kvm_dtable::default() },
        cr0: CR0_PE | CR0_ET,
        cr4: 0,
        ..reset
    };
    match entry.protocol {
        Protocol::Pvh => sregs,
        Protocol::Linux64 => kvm_sregs {
            cr0: sregs.cr0 | CR0_PG,
            cr3,
            cr4: CR4_PAE,
            efer: sregs.efer | EFER_LME | EFER_LMA,
            ..sregs
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(protocol: Protocol) -> Entry {
        Entry { protocol, address: GuestAddress(0x100_0000) }
    }

    #[test]
    fn pvh_enters_protected_mode_without_paging() {
        let sregs = system(kvm_sregs::default(), at(Protocol::Pvh), 0);
        assert_eq!(sregs.cr0, 0x11);
        assert_eq!((sregs.cr4, sregs.efer), (0, 0));
        assert_eq!((sregs.cs.db, sregs.cs.l), (1, 0));
        assert_eq!(general(at(Protocol::Pvh)).rbx, START_INFO.0);
    }

    #[test]
    fn the_64_bit_entry_is_in_long_mode_with_boot_params_in_rsi() {
        let sregs = system(kvm_sregs::default(), at(Protocol::Linux64), 0x9000);
        assert_eq!(sregs.cr0, 0x8000_0011);
        assert_eq!((sregs.cr3, sregs.cr4, sregs.efer), (0x9000, 0x20, 0x500));
        assert_eq!((sregs.cs.db, sregs.cs.l), (0, 1));
        let regs = general(at(Protocol::Linux64));
        assert_eq!((regs.rsi, regs.rip), (ZERO_PAGE.0, 0x100_0000));
    }
}
