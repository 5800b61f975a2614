//! Leaves that tell frequencies, so that a guest need not measure them.

use kvm_bindings::kvm_cpuid_entry2;

use super::{Vendor, find_mut, put};

/// Frequency of KVM's LAPIC timer, kHz: one tick a nanosecond.
const LAPIC_KHZ: u32 = 1_000_000;
/// First leaf of the hypervisor's own range; EAX is the highest of them.
const HYPERVISOR: u32 = 0x4000_0000;
/// EAX: TSC kHz, EBX: LAPIC timer kHz. VMware's convention, read by Linux under KVM too.
const HYPERVISOR_TIMING: u32 = 0x4000_0010;
/// TSC to crystal ratio.
const TSC: u32 = 0x15;
/// Frequencies for people, MHz.
const FREQUENCY: u32 = 0x16;

/// What the guest's clocks run at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequencies {
    /// Time stamp counter, kHz; 0 when the host does not know.
    pub tsc_khz: u32,
}

/// Tells the frequencies.
pub(super) fn apply(leaves: &mut Vec<kvm_cpuid_entry2>, vendor: Vendor, clocks: Frequencies) {
    let khz = clocks.tsc_khz;
    if khz == 0 {
        return;
    }
    let leaf = |function, eax, ebx| kvm_cpuid_entry2 { function, eax, ebx, ..Default::default() };
    if let Some(first) = find_mut(leaves, HYPERVISOR, 0) {
        first.eax = first.eax.max(HYPERVISOR_TIMING);
        put(leaves, leaf(HYPERVISOR_TIMING, khz, LAPIC_KHZ));
    }
    // AMD has no such leaves; Linux reads them on Intel only. The crystal is that of the LAPIC
    // timer (Linux takes the timer's frequency from here): TSC Hz = 10^9 * khz / 10^6.
    if vendor == Vendor::Intel {
        let crystal = LAPIC_KHZ * 1000;
        put(leaves, kvm_cpuid_entry2 { ecx: crystal, ..leaf(TSC, LAPIC_KHZ, khz) });
        let mhz = (khz / 1000).min(0xffff);
        put(leaves, kvm_cpuid_entry2 { ecx: 100, ..leaf(FREQUENCY, mhz, mhz) });
        if let Some(first) = find_mut(leaves, 0, 0) {
            first.eax = first.eax.max(FREQUENCY);
        }
    }
}
