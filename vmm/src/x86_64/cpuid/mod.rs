//! What `CPUID` tells a guest.
//!
//! It starts from what KVM supports on this host, once for all vCPUs; leaves that would lie are
//! corrected or emptied; then each vCPU gets its own APIC id.

pub mod corrections;
pub mod template;
pub mod timing;
pub mod topology;

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use vm_spec::CpuidModifier;

use crate::kvm::{Capability, Kvm};
pub use timing::Frequencies;
pub use topology::Topology;

/// Why CPUID could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum CpuidError {
    /// KVM did not say what it supports.
    #[error("Failed to read the CPUID leaves that KVM supports")]
    Supported(#[source] kvm_ioctls::Error),
    /// More leaves than KVM takes.
    #[error("CPUID has {0} leaves, more than KVM takes")]
    TooMany(usize),
    /// The template modifies a leaf that is not there.
    #[error(
        "The CPU template modifies CPUID leaf {leaf:#x}, subleaf {subleaf:#x}, which the host does not have"
    )]
    NoSuchLeaf {
        /// EAX.
        leaf: u32,
        /// ECX.
        subleaf: u32,
    },
}

/// Who made the host's processor, as far as leaves differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Intel, or anything else that follows its leaves.
    Intel,
    /// AMD and Hygon.
    Amd,
}

/// The leaves that KVM supports on this host.
#[derive(Clone, Debug)]
pub struct Supported {
    leaves: Vec<kvm_cpuid_entry2>,
    tsc_deadline: bool,
}

impl Supported {
    /// Asks KVM.
    ///
    /// # Errors
    /// When KVM does not answer.
    pub fn read(kvm: &Kvm) -> Result<Self, CpuidError> {
        let cpuid = kvm
            .ioctls()
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(CpuidError::Supported)?;
        let tsc_deadline = kvm.has(Capability::TscDeadlineTimer);
        Ok(Self { leaves: cpuid.as_slice().to_vec(), tsc_deadline })
    }

    /// Bits of a guest physical address.
    pub fn physical_bits(&self) -> u8 {
        find(&self.leaves, 0x8000_0008, 0).map_or(36, |leaf| leaf.eax.to_le_bytes()[0])
    }
}

/// CPUID of one VM, with everything settled that its vCPUs share.
#[derive(Clone, Debug)]
pub struct Cpuid {
    leaves: Vec<kvm_cpuid_entry2>,
    vendor: Vendor,
    modifiers: Vec<CpuidModifier>,
}

impl Cpuid {
    /// Composes it for vCPUs arranged as `topology`, to be changed by `modifiers`.
    pub fn new(supported: &Supported, topology: Topology, modifiers: &[CpuidModifier]) -> Self {
        let mut leaves = supported.leaves.clone();
        let vendor = vendor(&leaves);
        corrections::apply(&mut leaves, supported.tsc_deadline);
        topology::apply(&mut leaves, vendor, topology);
        Self { leaves, vendor, modifiers: modifiers.to_vec() }
    }

    /// The leaves of the vCPU with this APIC id, whose clocks run at `frequencies`.
    ///
    /// # Errors
    /// When the template modifies a leaf that is not there, or there are more leaves than KVM
    /// takes.
    pub fn for_vcpu(&self, apic_id: u32, frequencies: Frequencies) -> Result<CpuId, CpuidError> {
        let mut leaves = self.leaves.clone();
        timing::apply(&mut leaves, self.vendor, frequencies);
        template::apply(&mut leaves, &self.modifiers)?;
        topology::set_apic_id(&mut leaves, apic_id);
        CpuId::from_entries(&leaves).map_err(|_| CpuidError::TooMany(leaves.len()))
    }
}

fn vendor(leaves: &[kvm_cpuid_entry2]) -> Vendor {
    // "Auth" of AuthenticAMD, "Hygo" of HygonGenuine.
    match find(leaves, 0, 0).map(|leaf| leaf.ebx.to_le_bytes()) {
        Some([b'A', b'u', b't', b'h'] | [b'H', b'y', b'g', b'o']) => Vendor::Amd,
        _ => Vendor::Intel,
    }
}

fn find(leaves: &[kvm_cpuid_entry2], leaf: u32, subleaf: u32) -> Option<&kvm_cpuid_entry2> {
    leaves.iter().find(|entry| entry.function == leaf && entry.index == subleaf)
}

fn find_mut(
    leaves: &mut [kvm_cpuid_entry2],
    leaf: u32,
    subleaf: u32,
) -> Option<&mut kvm_cpuid_entry2> {
    leaves.iter_mut().find(|entry| entry.function == leaf && entry.index == subleaf)
}

/// Replaces `entry`'s leaf, or adds it.
fn put(leaves: &mut Vec<kvm_cpuid_entry2>, entry: kvm_cpuid_entry2) {
    match find_mut(leaves, entry.function, entry.index) {
        Some(old) => *old = entry,
        None => leaves.push(entry),
    }
}

#[cfg(test)]
mod tests;
