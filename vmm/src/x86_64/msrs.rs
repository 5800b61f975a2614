//! Model-specific registers whose reset value is not what a firmware would leave.

use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::VcpuFd;
use vm_spec::MsrModifier;

const IA32_MISC_ENABLE: u32 = 0x1a0;
const FAST_STRINGS: u64 = 1;
const IA32_MTRR_DEF_TYPE: u32 = 0x2ff;
/// MTRRs enabled, everything write-back.
const MTRR_WRITE_BACK: u64 = 1 << 11 | 6;

/// Why model-specific registers could not be set.
#[derive(Debug, thiserror::Error)]
pub enum MsrsError {
    /// More than KVM takes in one call.
    #[error("The CPU template modifies too many model-specific registers ({0})")]
    TooMany(usize),
    /// Reading failed.
    #[error("Failed to read the model-specific registers that the CPU template modifies")]
    Read(#[source] kvm_ioctls::Error),
    /// Writing failed.
    #[error("Failed to set model-specific registers")]
    Write(#[source] kvm_ioctls::Error),
    /// KVM knows no such register, or refuses the value.
    #[error("KVM refuses model-specific register {0:#x}")]
    Refused(u32),
}

/// Sets what a firmware would have set, then what the CPU template asks for.
///
/// # Errors
/// When KVM refuses a register; the error names it.
pub fn set(vcpu: &VcpuFd, modifiers: &[MsrModifier]) -> Result<(), MsrsError> {
    let entry = |index, data| kvm_msr_entry { index, data, ..kvm_msr_entry::default() };
    let mut entries =
        vec![entry(IA32_MISC_ENABLE, FAST_STRINGS), entry(IA32_MTRR_DEF_TYPE, MTRR_WRITE_BACK)];
    entries.extend(modified(vcpu, modifiers)?);
    let msrs = fam(&entries)?;
    let set = vcpu.set_msrs(&msrs).map_err(MsrsError::Write)?;
    entries.get(set).map_or(Ok(()), |refused| Err(MsrsError::Refused(refused.index)))
}

fn modified(vcpu: &VcpuFd, modifiers: &[MsrModifier]) -> Result<Vec<kvm_msr_entry>, MsrsError> {
    if modifiers.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<_> = modifiers
        .iter()
        .map(|m| kvm_msr_entry { index: m.index, ..kvm_msr_entry::default() })
        .collect();
    let mut msrs = fam(&wanted)?;
    let read = vcpu.get_msrs(&mut msrs).map_err(MsrsError::Read)?;
    if let Some(refused) = wanted.get(read) {
        return Err(MsrsError::Refused(refused.index));
    }
    let apply = |(entry, modifier): (&kvm_msr_entry, &MsrModifier)| kvm_msr_entry {
        data: modifier.bits.apply(entry.data),
        ..*entry
    };
    Ok(msrs.as_slice().iter().zip(modifiers).map(apply).collect())
}

fn fam(entries: &[kvm_msr_entry]) -> Result<Msrs, MsrsError> {
    Msrs::from_entries(entries).map_err(|_| MsrsError::TooMany(entries.len()))
}
