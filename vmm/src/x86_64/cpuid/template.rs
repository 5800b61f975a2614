//! Changes that a CPU template asks for.

use kvm_bindings::kvm_cpuid_entry2;
use vm_spec::{CpuidModifier, CpuidRegister};

use super::{CpuidError, find_mut};

/// Applies them in order.
pub(super) fn apply(
    leaves: &mut [kvm_cpuid_entry2],
    modifiers: &[CpuidModifier],
) -> Result<(), CpuidError> {
    for modifier in modifiers {
        let (leaf, subleaf) = (modifier.leaf, modifier.subleaf);
        let entry =
            find_mut(leaves, leaf, subleaf).ok_or(CpuidError::NoSuchLeaf { leaf, subleaf })?;
        entry.flags = modifier.flags;
        for change in &modifier.registers {
            let register = match change.register {
                CpuidRegister::Eax => &mut entry.eax,
                CpuidRegister::Ebx => &mut entry.ebx,
                CpuidRegister::Ecx => &mut entry.ecx,
                CpuidRegister::Edx => &mut entry.edx,
            };
            *register = change.bits.apply(*register);
        }
    }
    Ok(())
}
