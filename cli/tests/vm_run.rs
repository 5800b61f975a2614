//! `bulkhead vm` with wrong input, and over a program that pretends to be the monitor.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A place for machines, and a monitor that does what its script says.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new(monitor: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("#!/bin/sh\n{monitor}\n");
        fs::write(folder.path().join("monitor"), script).unwrap();
        let executable = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path().join("monitor"), executable).unwrap();
        fs::write(folder.path().join("kernel"), "pretends").unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn vm(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bulkhead"))
            .arg("vm")
            .args(arguments.split(' '))
            .current_dir(self.path())
            .env("XDG_RUNTIME_DIR", self.path())
            .env("BULKHEAD_VMM", self.path().join("monitor"))
            .output()
            .unwrap()
    }

    /// Exit status and standard error of a run that prints nothing on standard output.
    fn failure(&self, arguments: &str) -> (i32, String) {
        let output = self.vm(arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "standard output");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// The folders of machines that are left.
    fn left(&self) -> usize {
        fs::read_dir(self.path().join("bulkhead/vms")).map_or(0, Iterator::count)
    }
}

#[test]
fn missing_kernel_is_named() {
    let (status, said) = Host::new("exit 0").failure("run --kernel nowhere");
    assert_eq!(status, 1);
    assert!(said.starts_with("bulkhead: failed to find nowhere: No such file"), "{said}");
}

#[test]
fn command_without_an_agent_fails_before_anything_is_started() {
    let host = Host::new("touch started");
    let (status, said) = host.failure("run --kernel kernel -- true");
    assert_eq!(status, 1);
    assert!(said.contains("--initrd") && said.contains("agent"), "{said}");
    assert!(!host.path().join("started").exists() && host.left() == 0);
}

#[test]
fn same_disk_writable_twice_is_refused_with_both_names() {
    let host = Host::new("touch started");
    let (status, said) = host.failure("run --kernel kernel --disk path=/d --disk path=/d");
    assert_eq!(status, 1);
    assert!(said.contains("disk0") && said.contains("disk1"), "{said}");
    assert!(!host.path().join("started").exists());
}

#[test]
fn ends_of_the_machine_are_exit_statuses() {
    for status in [0, 100, 101, 102, 103, 104, 105, 106] {
        let host = Host::new(&format!("exit {status}"));
        let code = host.vm("run --kernel kernel").status.code();
        assert_eq!((code, host.left()), (Some(status), 0));
    }
}

#[test]
fn reason_of_a_monitor_that_fails_is_told_once() {
    let host = Host::new("echo 'bulkhead-vmm: the moon is in the way' >&2; exit 1");
    let (status, said) = host.failure("run --kernel kernel");
    assert_eq!(status, 1);
    assert_eq!(said, "bulkhead: the machine could not be made: the moon is in the way\n");
}

#[test]
fn monitor_that_fails_before_it_is_ready_is_not_detached() {
    let host = Host::new("echo 'bulkhead-vmm: no' >&2; exit 1");
    let (status, said) = host.failure("run --kernel kernel --detach --name one");
    assert_eq!((status, host.left()), (1, 0));
    assert_eq!(said, "bulkhead: the machine could not be made: no\n");
}

#[test]
fn monitor_that_cannot_be_started_is_named_with_its_variable() {
    let host = Host::new("exit 0");
    fs::remove_file(host.path().join("monitor")).unwrap();
    let (status, said) = host.failure("run --kernel kernel");
    assert_eq!((status, host.left()), (1, 0));
    assert!(said.contains("set BULKHEAD_VMM to its path"), "{said}");
}

#[test]
fn console_output_goes_to_standard_output() {
    let output = Host::new("echo hello; exit 0").vm("run --kernel kernel");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn guest_that_ends_before_its_command_is_told_with_its_console() {
    let host = Host::new("echo kernel says why; exit 102");
    let (status, said) = host.failure("run --kernel kernel --initrd kernel -- true");
    assert_eq!(status, 102);
    assert!(said.starts_with("kernel says why\n"), "{said}");
    assert!(said.contains("the command did not run to its end: the guest had a kernel panic"));
}

#[test]
fn agent_that_does_not_call_in_time_ends_the_machine() {
    let host = Host::new("sleep 60 & trap 'kill $!; exit 106' TERM; wait");
    let (status, said) =
        host.failure("run --kernel kernel --initrd kernel --boot-timeout 1 -- true");
    assert_eq!((status, host.left()), (125, 0));
    assert!(said.contains("the agent in the guest did not call within 1s"), "{said}");
}

#[test]
fn every_command_names_a_machine_that_does_not_run() {
    let host = Host::new("exit 0");
    for command in ["inspect", "pause", "resume", "stop", "kill", "console", "events", "metrics"] {
        let (status, said) = host.failure(&format!("{command} ghost"));
        assert_eq!(status, 1, "{command}");
        assert_eq!(said, "bulkhead: no machine called ghost is running; see: bulkhead vm ls\n");
    }
}

#[test]
fn list_without_machines_is_empty_json() {
    let output = Host::new("exit 0").vm("ls --format json");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[]\n");
}
