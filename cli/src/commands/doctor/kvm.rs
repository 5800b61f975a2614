//! KVM: whether it is there, may be used, what kind it is and which guests it runs.

use std::fs;
use std::io;
use std::path::Path;

use super::Finding;

/// What executes guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vmx,
    Svm,
    /// Without hardware virtualization: page tables only, guest kernels are emulated.
    Pvm,
    Unknown,
}

pub(super) fn check() -> Vec<Finding> {
    let device = Path::new("/dev/kvm");
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let module = |name: &str| Path::new("/sys/module").join(name).exists();
    let kind = kind(&cpuinfo, module);
    let opened = fs::File::options().read(true).write(true).open(device).map(drop);
    match presence(opened, kind) {
        finding if finding.status == super::Status::Ok => {
            vec![finding, guests(kind, has_flag(&cpuinfo, "hypervisor"))]
        }
        finding => vec![finding],
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

fn presence(opened: io::Result<()>, kind: Kind) -> Finding {
    let error = match opened {
        Ok(()) => return Finding::ok("kvm", "/dev/kvm can be used"),
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::PermissionDenied => Finding::problem(
            "kvm",
            "/dev/kvm is there, but this user may not use it",
            "Join its group and log in again: sudo usermod -aG kvm $USER",
        ),
        io::ErrorKind::NotFound if matches!(kind, Kind::Vmx | Kind::Svm) => Finding::problem(
            "kvm",
            "/dev/kvm is missing although the processor can virtualize",
            "Load the module: sudo modprobe kvm_intel (or kvm_amd). In a container, pass the \
             device in: --device /dev/kvm",
        ),
        io::ErrorKind::NotFound => Finding::problem(
            "kvm",
            "/dev/kvm is missing and the processor shows no virtualization",
            "Turn VT-x or AMD-V on in the firmware; in a virtual machine, turn nested \
             virtualization on for it. To try Bulkhead without: scripts/lab",
        ),
        _ => Finding::problem("kvm", format!("/dev/kvm cannot be opened: {error}"), "See: dmesg"),
    }
}

fn guests(kind: Kind, nested: bool) -> Finding {
    let place = if nested { " (nested: this host is a virtual machine itself)" } else { "" };
    match kind {
        Kind::Vmx => Finding::ok("guests", format!("Intel VMX: runs any kernel{place}")),
        Kind::Svm => Finding::ok("guests", format!("AMD SVM: runs any kernel{place}")),
        Kind::Pvm => Finding::problem(
            "guests",
            "this KVM is kvm_pvm, which emulates guest kernels: stock kernels do not boot on it",
            "Use a host with VMX or SVM, or the lab that emulates one: scripts/lab",
        ),
        Kind::Unknown => Finding::warning(
            "guests",
            "this KVM is of no known kind: whether it runs stock kernels is to be seen",
            "Try: scripts/quickstart",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn kind_is_read_from_modules_before_flags() {
        let intel = "flags\t\t: fpu vmx hypervisor\n";
        assert_eq!(kind(intel, |_| false), Kind::Vmx);
        assert_eq!(kind(intel, |name| name == "kvm_pvm"), Kind::Pvm);
        assert_eq!(kind("flags : fpu vmxx", |_| false), Kind::Unknown);
    }

    #[test]
    fn denied_device_names_the_group_to_join() {
        let finding = presence(Err(io::ErrorKind::PermissionDenied.into()), Kind::Svm);
        assert_eq!(finding.status, Status::Problem);
        assert!(finding.advice.unwrap().contains("usermod -aG kvm"));
    }

    #[test]
    fn missing_device_asks_for_the_module_only_where_that_can_help() {
        let with = presence(Err(io::ErrorKind::NotFound.into()), Kind::Vmx);
        let without = presence(Err(io::ErrorKind::NotFound.into()), Kind::Unknown);
        assert!(with.advice.unwrap().contains("modprobe"));
        assert!(without.advice.unwrap().contains("nested"));
    }

    #[test]
    fn emulating_kvm_is_a_problem() {
        assert_eq!(guests(Kind::Pvm, true).status, Status::Problem);
        assert_eq!(guests(Kind::Vmx, true).status, Status::Ok);
    }
}
