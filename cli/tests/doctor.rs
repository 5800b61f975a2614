//! `bulkhead doctor` over a program that pretends to be the monitor.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

/// Exit status and report with a monitor that answers `--probe` with `probe`.
fn doctor(probe: &str) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let monitor = folder.path().join("monitor");
    let script = format!(
        "#!/bin/sh\ncase $1 in\n--version) echo bulkhead-vmm 9.9 ;;\n--probe) {probe} ;;\nesac\n"
    );
    fs::write(&monitor, script).unwrap();
    fs::set_permissions(&monitor, fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .args(["doctor", "--format", "json"])
        .env("BULKHEAD_VMM", &monitor)
        .output()
        .unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

/// The finding called `id`.
fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["id"] == id).unwrap()
}

fn usable(kernel_guest: bool) -> String {
    format!(
        r#"echo '{{"kvm": "usable", "api_version": 12, "recommended_vcpus": 4, "max_vcpus": 288,
        "memory_slots": 512, "present": [], "absent": [], "exit_ns": 1500,
        "tiny_guest": {{"works": true, "message": "The guest restarted"}},
        "kernel_guest": {{"works": {kernel_guest}, "message": "…"}}}}'"#
    )
}

#[test]
fn host_whose_kernel_guest_runs_is_fit() {
    let (status, report) = doctor(&usable(true));
    assert_eq!(status, 0, "{report}");
    assert_eq!(finding(&report, "kvm")["summary"], "KVM's API 12, up to 288 processors a machine");
    assert_eq!(finding(&report, "guests")["status"], "ok");
    assert_eq!(finding(&report, "monitor")["status"], "ok");
    assert_eq!(report["probe"]["exit_ns"], 1500);
}

#[test]
fn host_that_only_emulates_is_not_fit() {
    let (status, report) = doctor(&usable(false));
    assert_eq!((status, &report["status"]), (1, &Value::from("problem")));
    let guests = finding(&report, "guests");
    assert!(guests["advice"].as_str().unwrap().contains("scripts/lab"), "{guests}");
}

#[test]
fn denied_kvm_is_a_problem_with_advice() {
    let (status, report) = doctor(r#"echo '{"kvm": "denied"}'"#);
    assert_eq!(status, 1);
    let advice = finding(&report, "kvm")["advice"].as_str().unwrap();
    assert!(advice.contains("usermod -aG kvm"), "{advice}");
}

#[test]
fn monitor_that_cannot_probe_is_named_with_what_it_said() {
    let (status, report) = doctor("echo unknown option >&2; exit 2");
    assert_eq!((status, &report["probe"]), (1, &Value::Null));
    let summary = finding(&report, "monitor")["summary"].as_str().unwrap();
    assert!(summary.contains("unknown option") && summary.contains("9.9"), "{summary}");
}
