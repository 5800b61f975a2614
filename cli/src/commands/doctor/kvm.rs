//! KVM: whether it is there, may be used, what kind it is and which guests it runs.

use std::fs;
use std::io;
use std::path::Path;

use api::probe::{Probe, Usable};

use super::Finding;

/// Processors of the last ten years take a tenth of it, also in a virtual machine.
const SLOW_EXIT_NS: u64 = 25_000;

/// What executes guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vmx,
    Svm,
    /// Without hardware virtualization: page tables only, guest kernels are emulated.
    Pvm,
    Unknown,
}

/// The host, as far as `/proc` and `/sys` know it.
struct Host {
    kind: Kind,
    /// It is a virtual machine itself.
    nested: bool,
}

impl Host {
    fn look() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let module = |name: &str| Path::new("/sys/module").join(name).exists();
        Self { kind: kind(&cpuinfo, module), nested: has_flag(&cpuinfo, "hypervisor") }
    }
}

/// Judges what a monitor's probe has seen; without one only whether the device can be opened.
pub(super) fn check(probe: Option<&Probe>) -> Vec<Finding> {
    match probe {
        Some(probe) => judge(probe, &Host::look()),
        None => vec![opened()],
    }
}

/// Whether guest kernels are emulated: most do not boot then, or take minutes.
pub(crate) fn emulates() -> bool {
    Path::new("/sys/module/kvm_pvm").exists()
}

fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    let flags = cpuinfo.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|f| f == flag)
}

fn kind(cpuinfo: &str, module: impl Fn(&str) -> bool) -> Kind {
    if module("kvm_pvm") {
        Kind::Pvm
    } else if module("kvm_intel") || has_flag(cpuinfo, "vmx") {
        Kind::Vmx
    } else if module("kvm_amd") || has_flag(cpuinfo, "svm") {
        Kind::Svm
    } else {
        Kind::Unknown
    }
}

fn opened() -> Finding {
    let opened = fs::File::options().read(true).write(true).open("/dev/kvm");
    let probe = match opened.map_err(|error| (error.kind(), error)) {
        Ok(_) => {
            return Finding::warning(
                "kvm",
                "/dev/kvm can be opened, but was not tried for want of the monitor",
                "See the finding called monitor",
            );
        }
        Err((io::ErrorKind::NotFound, _)) => Probe::Missing,
        Err((io::ErrorKind::PermissionDenied, _)) => Probe::Denied,
        Err((_, error)) => Probe::Failed { message: error.to_string() },
    };
    absence(&probe, Host::look().kind)
}

fn judge(probe: &Probe, host: &Host) -> Vec<Finding> {
    match probe {
        Probe::Usable(usable) => {
            let mut findings = vec![presence(usable), guests(usable, host)];
            findings.extend(usable.exit_ns.map(|ns| exits(ns, host.nested)));
            findings
        }
        probe => vec![absence(probe, host.kind)],
    }
}

fn absence(probe: &Probe, kind: Kind) -> Finding {
    let problem = |summary: &str, advice| Finding::problem("kvm", summary, advice);
    match probe {
        Probe::Denied => problem(
            "/dev/kvm is there, but this user may not use it",
            "Join its group and log in again: sudo usermod -aG kvm $USER",
        ),
        Probe::Missing if matches!(kind, Kind::Vmx | Kind::Svm) => problem(
            "/dev/kvm is missing although the processor can virtualize",
            "Load the module: sudo modprobe kvm_intel (or kvm_amd). In a container, pass the \
             device in: --device /dev/kvm",
        ),
        Probe::Missing => problem(
            "/dev/kvm is missing and the processor shows no virtualization",
            "Turn VT-x or AMD-V on in the firmware; in a virtual machine, turn nested \
             virtualization on for it. To try Bulkhead without: scripts/lab",
        ),
        Probe::Lacking { capabilities } => problem(
            &format!("this KVM lacks {}", capabilities.join(", ")),
            "Use a newer kernel: Linux 5.10 has all that is needed",
        ),
        Probe::Failed { message } => {
            problem(&format!("KVM cannot be used: {message}"), "See: dmesg")
        }
        Probe::Usable(usable) => presence(usable),
    }
}

fn presence(usable: &Usable) -> Finding {
    let Usable { api_version, max_vcpus, absent, .. } = usable;
    let lacks = match absent.is_empty() {
        true => String::new(),
        false => format!("; without {}, which can be done without", absent.join(", ")),
    };
    Finding::ok(
        "kvm",
        format!("KVM's API {api_version}, up to {max_vcpus} processors a machine{lacks}"),
    )
}

fn guests(usable: &Usable, host: &Host) -> Finding {
    let nested = match host.nested {
        true => " (nested: this host is a virtual machine itself)",
        false => "",
    };
    let kind = match host.kind {
        Kind::Vmx => "Intel VMX",
        Kind::Svm => "AMD SVM",
        Kind::Pvm => "kvm_pvm, which needs no hardware virtualization",
        Kind::Unknown => "a KVM of no known kind",
    };
    if usable.kernel_guest.works {
        return Finding::ok("guests", format!("{kind}: runs any kernel{nested}"));
    }
    if usable.tiny_guest.works {
        return Finding::problem(
            "guests",
            format!("{kind}: emulates guest kernels, and ordinary ones do not boot on it{nested}"),
            "Use a host with VMX or SVM, or the lab that emulates one: scripts/lab",
        );
    }
    let said = &usable.tiny_guest.message;
    Finding::problem("guests", format!("{kind}: runs no guest{nested}: {said}"), "See: dmesg")
}

fn exits(ns: u64, nested: bool) -> Finding {
    let summary = format!("an exit from a guest to its monitor takes {:.1} µs", ns as f64 / 1e3);
    if ns < SLOW_EXIT_NS {
        return Finding::ok("exits", summary);
    }
    let advice = match nested {
        true => "Each takes a detour over the outer hypervisor; without that devices are faster",
        false => "Something slows this host down; see what else runs: top",
    };
    Finding::warning("exits", format!("{summary}, which is slow"), advice)
}

#[cfg(test)]
mod tests {
    use api::probe::Trial;

    use super::super::Status;
    use super::*;

    fn trial(works: bool) -> Trial {
        Trial { works, message: "it fell".to_owned() }
    }

    fn usable(tiny: bool, kernel: bool) -> Usable {
        Usable {
            api_version: 12,
            recommended_vcpus: 2,
            max_vcpus: 1024,
            memory_slots: 512,
            present: Vec::new(),
            absent: vec!["KVM_CAP_TSC_CONTROL".to_owned()],
            tiny_guest: trial(tiny),
            kernel_guest: trial(kernel),
            exit_ns: Some(1_234),
        }
    }

    fn found(probe: Probe, kind: Kind) -> Vec<Finding> {
        judge(&probe, &Host { kind, nested: true })
    }

    #[test]
    fn kind_is_read_from_modules_before_flags() {
        let intel = "flags\t\t: fpu vmx hypervisor\n";
        assert_eq!(kind(intel, |_| false), Kind::Vmx);
        assert_eq!(kind(intel, |name| name == "kvm_pvm"), Kind::Pvm);
        assert_eq!(kind("flags : fpu vmxx", |_| false), Kind::Unknown);
    }

    #[test]
    fn denied_device_names_the_group_to_join() {
        let findings = found(Probe::Denied, Kind::Svm);
        assert_eq!(findings[0].status, Status::Problem);
        assert!(findings[0].advice.as_ref().unwrap().contains("usermod -aG kvm"));
    }

    #[test]
    fn missing_device_asks_for_the_module_only_where_that_can_help() {
        let advice = |kind| found(Probe::Missing, kind)[0].advice.clone().unwrap();
        assert!(advice(Kind::Vmx).contains("modprobe"));
        assert!(advice(Kind::Unknown).contains("nested"));
    }

    #[test]
    fn lacking_capabilities_are_named() {
        let lacking = Probe::Lacking { capabilities: vec!["KVM_CAP_IRQFD".to_owned()] };
        assert_eq!(found(lacking, Kind::Vmx)[0].summary, "this KVM lacks KVM_CAP_IRQFD");
    }

    #[test]
    fn guests_are_judged_by_what_ran_and_not_by_the_kind() {
        let guests = |tiny, kernel| {
            let findings = found(Probe::Usable(Box::new(usable(tiny, kernel))), Kind::Pvm);
            (findings[1].status, findings[1].summary.clone())
        };
        assert_eq!(guests(true, true).0, Status::Ok);
        let (status, summary) = guests(true, false);
        assert_eq!(status, Status::Problem);
        assert!(summary.contains("emulates guest kernels"), "{summary}");
        assert!(guests(false, false).1.ends_with(": it fell"));
    }

    #[test]
    fn slow_exits_are_a_warning() {
        let slow = Usable { exit_ns: Some(80_000), ..usable(true, true) };
        let findings = found(Probe::Usable(Box::new(slow)), Kind::Vmx);
        assert_eq!(findings[2].status, Status::Warning);
        assert_eq!(exits(1_234, true).summary, "an exit from a guest to its monitor takes 1.2 µs");
    }
}
