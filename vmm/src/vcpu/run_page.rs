//! Reading the `kvm_run` page after an exit.
//!
//! kvm-ioctls decodes exits too, but hides the width of port accesses and what belongs to an
//! internal error.
#![allow(unsafe_code)]

use kvm_bindings::{KVM_EXIT_IO_IN, kvm_run};

use super::end::InternalError;

/// Bytes of an instruction that KVM reports at most.
const MAX_INSTRUCTION: usize = 15;
/// Flag: instruction bytes are there.
const FLAG_INSTRUCTION: u64 = 1;
/// `KVM_INTERNAL_ERROR_EMULATION`.
const EMULATION: u32 = 1;

/// A port access, possibly repeated (`rep outs`, `rep ins`).
pub(super) struct PortAccess<'a> {
    /// The port.
    pub(super) port: u16,
    /// Bytes of one access: 1, 2 or 4.
    pub(super) width: usize,
    /// Whether the guest reads.
    pub(super) read: bool,
    /// All accesses' data, one after the other.
    pub(super) data: &'a mut [u8],
}

/// The port access of an exit whose reason is `KVM_EXIT_IO`.
pub(super) fn port_access(run: &mut kvm_run) -> PortAccess<'_> {
    let start: *mut u8 = std::ptr::from_mut(run).cast();
    // SAFETY: the exit reason says that this member of the union is set; all are plain numbers.
    let io = unsafe { run.__bindgen_anon_1.io };
    let width = usize::from(io.size).max(1);
    let length = width * io.count as usize;
    // SAFETY: KVM places `length` bytes at `data_offset` into the run area, which is mapped as
    // a whole (KVM_GET_VCPU_MMAP_SIZE) as long as the vCPU lives; the exclusive borrow of `run`
    // keeps anybody else away from it.
    let data =
        unsafe { std::slice::from_raw_parts_mut(start.add(io.data_offset as usize), length) };
    PortAccess { port: io.port, width, read: u32::from(io.direction) == KVM_EXIT_IO_IN, data }
}

/// A memory-mapped access.
pub(super) struct MmioAccess<'a> {
    /// Guest physical address.
    pub(super) address: u64,
    /// Whether the guest reads.
    pub(super) read: bool,
    /// 1 to 8 bytes.
    pub(super) data: &'a mut [u8],
}

/// The access of an exit whose reason is `KVM_EXIT_MMIO`.
pub(super) fn mmio_access(run: &mut kvm_run) -> MmioAccess<'_> {
    // SAFETY: the exit reason says that this member of the union is set; all are plain numbers.
    let mmio = unsafe { &mut run.__bindgen_anon_1.mmio };
    let length = (mmio.len as usize).min(mmio.data.len());
    MmioAccess { address: mmio.phys_addr, read: mmio.is_write == 0, data: &mut mmio.data[..length] }
}

/// What belongs to an exit whose reason is `KVM_EXIT_INTERNAL_ERROR`.
pub(super) fn internal_error(run: &kvm_run, rip: u64) -> InternalError {
    // SAFETY: the exit reason says that this member of the union is set; all are plain numbers.
    let internal = unsafe { run.__bindgen_anon_1.internal };
    let words = (internal.ndata as usize).min(internal.data.len());
    let mut error = InternalError {
        suberror: internal.suberror,
        rip,
        instruction: Vec::new(),
        data: internal.data[..words].to_vec(),
    };
    if internal.suberror == EMULATION && words >= 3 && error.data[0] & FLAG_INSTRUCTION != 0 {
        // Word 1: length, then the bytes themselves, up to the end of word 2.
        let bytes: Vec<u8> = error.data[1..3].iter().flat_map(|word| word.to_le_bytes()).collect();
        let length = usize::from(bytes[0]).min(MAX_INSTRUCTION);
        error.instruction = bytes[1..=length].to_vec();
        error.data.drain(..3);
    }
    error
}

/// Reason and CPU of an exit whose reason is `KVM_EXIT_FAIL_ENTRY`.
pub(super) fn failed_entry(run: &kvm_run) -> (u64, u32) {
    // SAFETY: the exit reason says that this member of the union is set; all are plain numbers.
    let fail = unsafe { run.__bindgen_anon_1.fail_entry };
    (fail.hardware_entry_failure_reason, fail.cpu)
}

/// Kind of an exit whose reason is `KVM_EXIT_SYSTEM_EVENT`.
pub(super) fn system_event(run: &kvm_run) -> u32 {
    // SAFETY: the exit reason says that this member of the union is set; all are plain numbers.
    unsafe { run.__bindgen_anon_1.system_event.type_ }
}

/// Address and size of an exit whose reason is `KVM_EXIT_MEMORY_FAULT`.
pub(super) fn memory_fault(run: &kvm_run) -> (u64, u64) {
    // SAFETY: the exit reason says that this member of the union is set; all are plain numbers.
    let fault = unsafe { run.__bindgen_anon_1.memory_fault };
    (fault.gpa, fault.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruction_bytes_of_an_emulation_failure_are_unpacked() {
        let mut run = kvm_run::default();
        run.__bindgen_anon_1.internal.suberror = 1;
        run.__bindgen_anon_1.internal.ndata = 4;
        let mut words = [0; 16];
        words[0] = 1;
        words[1] = u64::from_le_bytes([3, 0x0f, 0xc7, 0x08, 0, 0, 0, 0]);
        words[3] = 77;
        run.__bindgen_anon_1.internal.data = words;
        let error = internal_error(&run, 0x1234);
        assert_eq!(error.instruction, [0x0f, 0xc7, 0x08]);
        assert_eq!(error.data, [77]);
        assert_eq!(error.rip, 0x1234);
    }

    #[test]
    fn an_impossible_instruction_length_is_cut() {
        let mut run = kvm_run::default();
        run.__bindgen_anon_1.internal.suberror = 1;
        run.__bindgen_anon_1.internal.ndata = u32::MAX;
        run.__bindgen_anon_1.internal.data = [u64::MAX; 16];
        let error = internal_error(&run, 0);
        assert_eq!(error.instruction, [0xff; 15]);
        assert_eq!(error.data.len(), 13);
    }
}
