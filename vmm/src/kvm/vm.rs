//! One VM's kernel side.

use std::sync::Arc;

use kvm_bindings::{
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS, kvm_enable_cap,
};
use kvm_ioctls::VmFd;

use super::capabilities::Capability;
use super::open::Kvm;
use crate::memory::layout::{KVM_IDENTITY_MAP, KVM_TSS};

/// Why KVM could not make a VM.
#[derive(Debug, thiserror::Error)]
#[error("Failed to {step}")]
pub struct CreateVmError {
    /// What was being done.
    pub step: &'static str,
    /// KVM's reason.
    #[source]
    pub source: kvm_ioctls::Error,
}

/// A VM of KVM, without memory and vCPUs.
#[derive(Clone, Debug)]
pub struct Vm {
    fd: Arc<VmFd>,
}

impl Vm {
    /// Makes a VM. Its interrupt controllers are a step of their own.
    ///
    /// # Errors
    /// [`CreateVmError`] names the step that KVM refused.
    pub fn create(kvm: &Kvm) -> Result<Self, CreateVmError> {
        let step = |step| move |source| CreateVmError { step, source };
        let fd = loop {
            match kvm.ioctls().create_vm() {
                // A signal arrived while KVM was allocating.
                Err(error) if error.errno() == libc::EINTR => {}
                result => break result.map_err(step("create a virtual machine"))?,
            }
        };
        if kvm.has(Capability::SetIdentityMapAddr) {
            fd.set_identity_map_address(KVM_IDENTITY_MAP)
                .map_err(step("set the address of KVM's identity map"))?;
        }
        if kvm.has(Capability::SetTssAddr) {
            let address = usize::try_from(KVM_TSS).unwrap_or_default();
            fd.set_tss_address(address).map_err(step("set the address of KVM's TSS"))?;
        }
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Adds LAPICs, IOAPIC and PICs in the kernel: after guest memory, before vCPUs.
    ///
    /// There is no PIT: with reduced-hardware ACPI Linux never looks for one, and takes the
    /// frequencies of TSC and LAPIC timer from CPUID and kvm-clock.
    ///
    /// # Errors
    /// [`CreateVmError`] names the step that KVM refused.
    pub fn add_interrupt_controllers(&self, kvm: &Kvm) -> Result<(), CreateVmError> {
        let step = |step| move |source| CreateVmError { step, source };
        self.fd.create_irq_chip().map_err(step("create the interrupt controllers"))?;
        if kvm.has(Capability::X2apicApi) {
            let flags = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
            let mut cap = kvm_enable_cap {
                cap: kvm_bindings::KVM_CAP_X2APIC_API,
                ..kvm_enable_cap::default()
            };
            cap.args[0] = u64::from(flags);
            self.fd.enable_cap(&cap).map_err(step("enable 32-bit APIC ids"))?;
        }
        Ok(())
    }

    /// The raw descriptor.
    pub(crate) fn ioctls(&self) -> &Arc<VmFd> {
        &self.fd
    }
}
