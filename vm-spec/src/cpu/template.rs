//! Changes to what the guest is told about its processors.

use serde::{Deserialize, Serialize};

use super::BitPattern;

/// Changes applied, in order, after the monitor's own choices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuTemplate {
    /// KVM capabilities that must be there, or that are not asked for. Default: none.
    #[serde(default)]
    pub capabilities: Vec<CapabilityModifier>,
    /// CPUID leaves to change. Default: none.
    #[serde(default)]
    pub cpuid: Vec<CpuidModifier>,
    /// Model-specific registers to change. Default: none.
    #[serde(default)]
    pub msrs: Vec<MsrModifier>,
}

impl CpuTemplate {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.capabilities.is_empty() && self.cpuid.is_empty() && self.msrs.is_empty()
    }
}

/// A change to the KVM capabilities that the monitor demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapabilityModifier {
    /// `KVM_CAP_…` number that KVM must have.
    Require(u32),
    /// `KVM_CAP_…` number that is not checked for.
    Ignore(u32),
}

/// A change to one CPUID leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuidModifier {
    /// EAX of the query.
    pub leaf: u32,
    /// ECX of the query.
    pub subleaf: u32,
    /// `KVM_CPUID_FLAG_…` bits of the entry.
    #[serde(default)]
    pub flags: u32,
    /// Registers of the answer to change.
    pub registers: Vec<CpuidRegisterModifier>,
}

/// A change to one register of a CPUID leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuidRegisterModifier {
    /// The register.
    pub register: CpuidRegister,
    /// Its new bits.
    pub bits: BitPattern<u32>,
}

/// A register that CPUID answers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuidRegister {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// A change to one model-specific register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MsrModifier {
    /// Its number.
    pub index: u32,
    /// Its new bits.
    pub bits: BitPattern<u64>,
}
