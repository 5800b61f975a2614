//! `--probe` on the KVM of this machine.

use std::fs;
use std::process::Command;

use api::probe::{Probe, Usable};

fn probe() -> Usable {
    let output = Command::new(env!("CARGO_BIN_EXE_bulkhead-vmm")).arg("--probe").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    match serde_json::from_slice(&output.stdout).unwrap() {
        Probe::Usable(usable) => *usable,
        other => panic!("KVM cannot be used: {other:?}"),
    }
}

#[test]
fn probe_tells_what_kvm_is_and_does() {
    let probe = probe();
    assert_eq!(probe.api_version, 12);
    assert!(probe.max_vcpus >= 1 && probe.memory_slots >= 32, "{probe:?}");
    assert!(probe.present.contains(&"KVM_CAP_IRQFD".to_owned()), "{probe:?}");
    assert!(!probe.absent.contains(&"KVM_CAP_IRQFD".to_owned()), "{probe:?}");
    assert!(probe.tiny_guest.works, "{probe:?}");
    // Between any processor and the most patient emulation.
    assert!(probe.exit_ns.is_some_and(|ns| (100..100_000_000).contains(&ns)), "{probe:?}");
}

#[test]
fn kernel_guest_works_where_the_processor_virtualizes() {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap();
    let virtualizes = cpuinfo.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    let probe = probe();
    assert_eq!(probe.kernel_guest.works, virtualizes, "{:?}", probe.kernel_guest);
}
