//! Guest memory made known to KVM.
#![allow(unsafe_code)]

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::GuestRam;

/// KVM refused a memory slot.
#[derive(Debug, thiserror::Error)]
#[error("Failed to give guest memory at {address:#x} ({size} bytes) to KVM as slot {slot}")]
pub struct SlotError {
    /// Slot number.
    pub slot: u32,
    /// Guest physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// KVM's reason.
    #[source]
    pub source: kvm_ioctls::Error,
}

/// Registers every region of `memory` as one slot, with dirty logging if asked.
///
/// KVM waits for a grace period of its readers. That is short before the interrupt controllers are
/// there, whose making begins a lazy one that takes milliseconds and would be waited for.
///
/// The caller keeps `memory` alive as long as a vCPU of `vm` can run.
///
/// # Errors
/// When KVM refuses a slot; the error says which.
pub fn register(vm: &VmFd, memory: &GuestRam, log_dirty: bool) -> Result<(), SlotError> {
    for (slot, region) in (0u32..).zip(memory.iter()) {
        let (address, size) = (region.start_addr().0, region.len());
        let host = region.get_mmap().as_ptr() as u64;
        let flags = if log_dirty { KVM_MEM_LOG_DIRTY_PAGES } else { 0 };
        let slot_region = kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: address,
            memory_size: size,
            userspace_addr: host,
        };
        // SAFETY: `host..host + size` is one mapping owned by `memory`, which outlives the
        // vCPUs (`Machine` holds both and drops the vCPUs first); slots do not overlap since
        // the regions of a `GuestRam` never do.
        unsafe { vm.set_user_memory_region(slot_region) }.map_err(|source| SlotError {
            slot,
            address,
            size,
            source,
        })?;
    }
    Ok(())
}

/// Takes all memory from KVM, once no vCPU runs.
///
/// KVM waits for this with urgency, and with it for all that it deferred. Without it a machine that
/// ends soon after its start waits longer: for lazy grace periods when the VM's descriptor goes.
pub fn unregister(vm: &VmFd, memory: &GuestRam) {
    for (slot, region) in (0u32..).zip(memory.iter()) {
        let gone = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start_addr().0,
            memory_size: 0,
            userspace_addr: 0,
        };
        // SAFETY: a size of zero removes the slot; no memory is handed over.
        if let Err(error) = unsafe { vm.set_user_memory_region(gone) } {
            // The VM's end removes it too.
            log::debug!("Failed to take slot {slot} from KVM: {error}");
        }
    }
}
