//! Making a vCPU.

use std::io;
use std::sync::Arc;

use kvm_ioctls::VcpuFd;
use vm_spec::MsrModifier;

use super::kick::ImmediateExit;
use crate::kvm::Vm;
use crate::x86_64::cpuid::{Cpuid, CpuidError, Frequencies};
use crate::x86_64::lapic;
use crate::x86_64::msrs::{self, MsrsError};

/// Why a vCPU could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// KVM makes no more vCPUs.
    #[error("Failed to create vCPU {index}")]
    Create {
        /// Which.
        index: u8,
        /// KVM's reason.
        #[source]
        source: kvm_ioctls::Error,
    },
    /// The run area could not be mapped.
    #[error("Failed to map the run area of vCPU {index}")]
    Map {
        /// Which.
        index: u8,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
    /// CPUID.
    #[error("Failed to compose CPUID of vCPU {index}")]
    Cpuid {
        /// Which.
        index: u8,
        /// Reason.
        #[source]
        source: CpuidError,
    },
    /// CPUID was refused.
    #[error("KVM refuses CPUID of vCPU {index}")]
    SetCpuid {
        /// Which.
        index: u8,
        /// KVM's reason.
        #[source]
        source: kvm_ioctls::Error,
    },
    /// Model-specific registers.
    #[error("Failed to set up vCPU {index}")]
    Msrs {
        /// Which.
        index: u8,
        /// Reason.
        #[source]
        source: MsrsError,
    },
    /// Local APIC.
    #[error("Failed to set up the local APIC of vCPU {index}")]
    Lapic {
        /// Which.
        index: u8,
        /// KVM's reason.
        #[source]
        source: kvm_ioctls::Error,
    },
}

/// What all vCPUs of a VM are made from.
#[derive(Clone)]
pub struct VcpuSetup {
    /// The VM.
    pub vm: Vm,
    /// CPUID, but for the APIC id.
    pub cpuid: Arc<Cpuid>,
    /// Changes of model-specific registers.
    pub msrs: Arc<[MsrModifier]>,
    /// Called on each vCPU's thread before it first enters the guest.
    pub confine: Arc<dyn Fn() + Send + Sync>,
}

impl VcpuSetup {
    /// Makes vCPU `index`, whose APIC id that is too.
    pub(super) fn create(&self, index: u8) -> Result<(VcpuFd, ImmediateExit), SetupError> {
        let fd = self
            .vm
            .ioctls()
            .create_vcpu(u64::from(index))
            .map_err(|source| SetupError::Create { index, source })?;
        let exit = ImmediateExit::new(&fd).map_err(|source| SetupError::Map { index, source })?;
        // 0 where the host's TSC is not stable: then the guest is told nothing.
        let frequencies = Frequencies { tsc_khz: fd.get_tsc_khz().unwrap_or_default() };
        let cpuid = self
            .cpuid
            .for_vcpu(u32::from(index), frequencies)
            .map_err(|source| SetupError::Cpuid { index, source })?;
        fd.set_cpuid2(&cpuid).map_err(|source| SetupError::SetCpuid { index, source })?;
        msrs::set(&fd, &self.msrs).map_err(|source| SetupError::Msrs { index, source })?;
        lapic::set(&fd).map_err(|source| SetupError::Lapic { index, source })?;
        Ok((fd, exit))
    }
}
