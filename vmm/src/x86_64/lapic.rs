//! The local APIC's own inputs, wired as a firmware leaves them and as the MADT says: LINT0
//! takes the legacy interrupt controller, LINT1 non-maskable interrupts.

use kvm_bindings::kvm_lapic_state;
use kvm_ioctls::VcpuFd;

const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
/// Bits 8 to 10 of a local vector table entry.
const DELIVERY_MODE: u32 = 0x700;
const NMI: u32 = 0x400;
const EXTERNAL: u32 = 0x700;

/// Wires the inputs.
///
/// # Errors
/// When KVM refuses to read or write the state.
pub fn set(vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let mut lapic = vcpu.get_lapic()?;
    set_mode(&mut lapic, LVT_LINT0, EXTERNAL);
    set_mode(&mut lapic, LVT_LINT1, NMI);
    vcpu.set_lapic(&lapic)
}

fn set_mode(lapic: &mut kvm_lapic_state, register: usize, mode: u32) {
    let Some(bytes) = lapic.regs.get_mut(register..register + 4) else { return };
    let mut raw = [0; 4];
    for (to, from) in raw.iter_mut().zip(bytes.iter()) {
        *to = from.to_le_bytes()[0];
    }
    let value = (u32::from_le_bytes(raw) & !DELIVERY_MODE) | mode;
    for (to, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
        *to = i8::from_le_bytes([from]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_delivery_mode_changes() {
        let mut lapic = kvm_lapic_state::default();
        lapic.regs[LVT_LINT1] = 0x55;
        lapic.regs[LVT_LINT1 + 2] = 1;
        set_mode(&mut lapic, LVT_LINT1, NMI);
        assert_eq!(lapic.regs[LVT_LINT1..LVT_LINT1 + 4], [0x55, 4, 1, 0]);
    }
}
