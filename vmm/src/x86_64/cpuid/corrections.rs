//! Leaves that KVM reports and that would mislead a guest of this monitor.

use kvm_bindings::kvm_cpuid_entry2;

use super::{find_mut, put};

const LEAF1_ECX_MONITOR: u32 = 1 << 3;
const LEAF1_ECX_PDCM: u32 = 1 << 15;
const LEAF1_ECX_X2APIC: u32 = 1 << 21;
const LEAF1_ECX_TSC_DEADLINE: u32 = 1 << 24;
const LEAF1_ECX_HYPERVISOR: u32 = 1 << 31;
/// Energy/performance bias: an MSR that KVM keeps but that does nothing.
const LEAF6_ECX_ENERGY_BIAS: u32 = 1 << 3;
/// Leaves for hardware that guests do not get: MONITOR, performance counters, processor trace,
/// SGX.
const ABSENT: [u32; 4] = [0x5, 0xa, 0x14, 0x12];
/// AMD's performance counter leaf.
const AMD_PERFORMANCE: u32 = 0x8000_0022;
/// Software guard extensions, in leaf 7 EBX.
const LEAF7_EBX_SGX: u32 = 1 << 2;
/// Processor trace, in leaf 7 EBX.
const LEAF7_EBX_TRACE: u32 = 1 << 25;
/// Performance counter extensions, in leaf 0x8000_0001 ECX.
const AMD_ECX_PERFORMANCE: u32 = 1 << 23 | 1 << 24 | 1 << 28;

/// KVM's own features.
const HYPERVISOR_FEATURES: u32 = 0x4000_0001;
/// Page faults of the host that the guest hears of, so that it can run something else meanwhile.
/// Without them a vCPU waits for its page: the same result, no interrupt that a snapshot would
/// have to save half-delivered, and pages of mapped files come without one each.
const ASYNC_PAGE_FAULT: u32 = 1 << 4 | 1 << 10 | 1 << 14;

/// Corrects them. `tsc_deadline`: whether KVM's LAPIC has the TSC deadline mode, which it
/// reports as a capability and not as a CPUID bit.
pub(super) fn apply(leaves: &mut Vec<kvm_cpuid_entry2>, tsc_deadline: bool) {
    if let Some(leaf) = find_mut(leaves, 1, 0) {
        leaf.ecx &= !(LEAF1_ECX_MONITOR | LEAF1_ECX_PDCM);
        leaf.ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC;
        if tsc_deadline {
            leaf.ecx |= LEAF1_ECX_TSC_DEADLINE;
        }
    }
    if let Some(leaf) = find_mut(leaves, 6, 0) {
        leaf.ecx &= !LEAF6_ECX_ENERGY_BIAS;
    }
    if let Some(leaf) = find_mut(leaves, 7, 0) {
        leaf.ebx &= !(LEAF7_EBX_SGX | LEAF7_EBX_TRACE);
    }
    if let Some(leaf) = find_mut(leaves, 0x8000_0001, 0) {
        leaf.ecx &= !AMD_ECX_PERFORMANCE;
    }
    if let Some(leaf) = find_mut(leaves, HYPERVISOR_FEATURES, 0) {
        leaf.eax &= !ASYNC_PAGE_FAULT;
    }
    leaves.retain(|leaf| !ABSENT.contains(&leaf.function) && leaf.function != AMD_PERFORMANCE);
    set_highest_extended(leaves);
}

/// The highest extended leaf is one that exists.
fn set_highest_extended(leaves: &mut Vec<kvm_cpuid_entry2>) {
    let extended = 0x8000_0000..=0x8000_ffff;
    let highest = leaves.iter().map(|leaf| leaf.function).filter(|f| extended.contains(f)).max();
    let mut first = find_mut(leaves, 0x8000_0000, 0).copied().unwrap_or_default();
    first.function = 0x8000_0000;
    first.eax = highest.unwrap_or(0x8000_0000);
    put(leaves, first);
}
