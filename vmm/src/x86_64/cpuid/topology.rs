//! Leaves that tell how vCPUs form cores and a package, and which of them this one is.

use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

use super::{Vendor, find_mut, put};

const LEAF1_EDX_HTT: u32 = 1 << 28;
/// Leaf 0x8000_0001 ECX: more than one core, told the old way.
const AMD_ECX_CMP_LEGACY: u32 = 1 << 1;
/// Leaf 0x8000_0001 ECX: leaves 0x8000_001d and 0x8000_001e exist.
const AMD_ECX_TOPOLOGY: u32 = 1 << 22;
/// Extended topology leaves.
const EXTENDED: [u32; 2] = [0xb, 0x1f];

/// vCPUs in one package. APIC ids count up from 0: threads first, then cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// vCPUs, 1 to 254.
    pub vcpus: u8,
    /// vCPUs that share a core: 1 or 2.
    pub threads_per_core: u8,
}

impl Topology {
    fn count(self) -> u32 {
        u32::from(self.vcpus.max(1))
    }

    /// Threads of a core; one where there are not enough vCPUs to fill it.
    fn threads(self) -> u32 {
        u32::from(self.threads_per_core.max(1)).min(self.count())
    }

    fn cores(self) -> u32 {
        self.count().div_ceil(self.threads())
    }

    /// Bits of the APIC id that number the threads of a core.
    fn thread_bits(self) -> u32 {
        self.threads().next_power_of_two().trailing_zeros()
    }

    /// Bits of the APIC id that number the threads of the package.
    fn package_bits(self) -> u32 {
        self.thread_bits() + self.cores().next_power_of_two().trailing_zeros()
    }
}

/// Writes the topology into every leaf that tells of it.
pub(super) fn apply(leaves: &mut Vec<kvm_cpuid_entry2>, vendor: Vendor, topology: Topology) {
    let count = topology.count();
    if let Some(leaf) = find_mut(leaves, 1, 0) {
        // Logical processors: meaningful with HTT only.
        leaf.ebx = (leaf.ebx & !0x00ff_0000) | (1u32 << topology.package_bits()).min(255) << 16;
        leaf.edx = (leaf.edx & !LEAF1_EDX_HTT) | if count > 1 { LEAF1_EDX_HTT } else { 0 };
    }
    extended(leaves, topology);
    match vendor {
        Vendor::Intel => intel_caches(leaves, topology),
        Vendor::Amd => amd(leaves, topology),
    }
}

/// Leaves 0xb and 0x1f: one subleaf for threads, one for cores, one that ends the list.
fn extended(leaves: &mut Vec<kvm_cpuid_entry2>, topology: Topology) {
    const THREADS: u32 = 1;
    const CORES: u32 = 2;
    for function in EXTENDED {
        if !leaves.iter().any(|leaf| leaf.function == function) {
            continue;
        }
        leaves.retain(|leaf| leaf.function != function);
        let levels = [
            (topology.thread_bits(), topology.threads(), THREADS),
            (topology.package_bits(), topology.count(), CORES),
            (0, 0, 0),
        ];
        for (index, (shift, processors, kind)) in (0u32..).zip(levels) {
            let flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
            let (eax, ebx, ecx) = (shift, processors, kind << 8 | index);
            put(
                leaves,
                kvm_cpuid_entry2 { function, index, flags, eax, ebx, ecx, ..Default::default() },
            );
        }
    }
}

/// Bits of the APIC id shared below a cache, as the "maximum id" that cache leaves hold.
fn sharing(level: u32, topology: Topology) -> u32 {
    let bits = if level >= 3 { topology.package_bits() } else { topology.thread_bits() };
    (1 << bits) - 1
}

/// Leaf 4: caches of levels 1 and 2 belong to a core, level 3 to the package.
fn intel_caches(leaves: &mut [kvm_cpuid_entry2], topology: Topology) {
    let cores = (1u32 << (topology.package_bits() - topology.thread_bits())) - 1;
    for leaf in leaves.iter_mut().filter(|leaf| leaf.function == 4 && leaf.eax & 0x1f != 0) {
        let level = leaf.eax >> 5 & 7;
        leaf.eax &= 0x3fff;
        leaf.eax |= (sharing(level, topology) & 0xfff) << 14 | (cores & 0x3f) << 26;
    }
}

fn amd(leaves: &mut [kvm_cpuid_entry2], topology: Topology) {
    let count = topology.count();
    if let Some(leaf) = find_mut(leaves, 0x8000_0001, 0) {
        let legacy = if count > 1 { AMD_ECX_CMP_LEGACY } else { 0 };
        leaf.ecx = (leaf.ecx & !AMD_ECX_CMP_LEGACY) | legacy | AMD_ECX_TOPOLOGY;
    }
    if let Some(leaf) = find_mut(leaves, 0x8000_0008, 0) {
        leaf.ecx = (leaf.ecx & !0xf0ff) | topology.package_bits() << 12 | (count - 1);
    }
    for leaf in leaves.iter_mut().filter(|l| l.function == 0x8000_001d && l.eax & 0x1f != 0) {
        let level = leaf.eax >> 5 & 7;
        leaf.eax = (leaf.eax & !0x03ff_c000) | (sharing(level, topology) & 0xfff) << 14;
    }
    if let Some(leaf) = find_mut(leaves, 0x8000_001e, 0) {
        // EBX: threads per core. ECX: one node.
        leaf.ebx = (topology.threads() - 1) << 8;
        leaf.ecx = 0;
    }
}

/// Tells a vCPU which one it is.
pub(super) fn set_apic_id(leaves: &mut [kvm_cpuid_entry2], apic_id: u32) {
    let mut thread_bits = 0;
    for leaf in leaves.iter_mut() {
        match leaf.function {
            1 => leaf.ebx = (leaf.ebx & 0x00ff_ffff) | apic_id << 24,
            0xb | 0x1f => {
                leaf.edx = apic_id;
                if leaf.index == 0 {
                    thread_bits = leaf.eax & 0x1f;
                }
            }
            _ => {}
        }
    }
    if let Some(leaf) = find_mut(leaves, 0x8000_001e, 0) {
        leaf.eax = apic_id;
        if thread_bits == 0 && leaf.ebx >> 8 & 0xff > 0 {
            thread_bits = 1;
        }
        leaf.ebx = (leaf.ebx & !0xff) | (apic_id >> thread_bits & 0xff);
    }
}
