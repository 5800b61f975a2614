//! `--probe`: what this host's KVM is and does, without a machine.

mod trial;

use api::probe::{Probe, Usable};
use vmm::kvm::{Capability, Kvm, OpenKvmError};

use crate::operate::chain;

/// Looks at KVM and runs two small guests.
pub(crate) fn probe() -> Probe {
    match Kvm::open() {
        Ok(kvm) => Probe::Usable(Box::new(look_at(&kvm))),
        Err(OpenKvmError::Missing { .. }) => Probe::Missing,
        Err(OpenKvmError::Permission { .. }) => Probe::Denied,
        Err(OpenKvmError::Capability { missing }) => Probe::Lacking { capabilities: missing },
        Err(error) => Probe::Failed { message: chain(&error) },
    }
}

fn look_at(kvm: &Kvm) -> Usable {
    let found = kvm.capabilities();
    let absent = Capability::ALL.iter().copied().filter(|capability| !found.has(*capability));
    let (tiny_guest, exit_ns) = trial::tiny_guest(kvm);
    Usable {
        api_version: found.api_version,
        recommended_vcpus: found.recommended_vcpus,
        max_vcpus: found.max_vcpus,
        memory_slots: found.memory_slots,
        absent: names(absent),
        present: names(found.present.iter().copied()),
        tiny_guest,
        kernel_guest: trial::kernel_guest(kvm),
        exit_ns,
    }
}

fn names(capabilities: impl IntoIterator<Item = Capability>) -> Vec<String> {
    capabilities.into_iter().map(|capability| capability.name().to_owned()).collect()
}
