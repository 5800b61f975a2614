//! What the program gives up while a machine runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;
use rustix::thread::{CapabilitySet, capabilities};
use serde_json::json;

use super::harness::{Monitor, Place};

/// The fields of each thread's status (proc_pid_status(5)), by the thread's name.
fn threads(monitor: &Monitor) -> BTreeMap<String, BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{}/task", monitor.pid())).unwrap();
    let statuses = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    });
    statuses.map(|status: BTreeMap<String, String>| (status["Name"].clone(), status)).collect()
}

/// Kinds of threads, all of which [`machine`] has one of.
const KINDS: usize = 6;

/// Starts a machine, and waits until each of its threads has said that it is confined.
fn machine(flags: &str) -> Monitor {
    let place = Place::new();
    place.config(&json!({ "entropy": {} }));
    place.fifo("log");
    let log = place.path("log");
    let arguments = format!(
        "--config-file machine.json --metrics-path metrics --log-path log --level Debug {flags}"
    );
    let command = place.program(&arguments);
    let monitor = Monitor::spawn(place, command);
    let lines = BufReader::new(File::open(log).unwrap()).lines().map(Result::unwrap);
    let confined = lines.filter(|line| line.ends_with(" thread is confined")).take(KINDS);
    assert_eq!(confined.count(), KINDS);
    monitor
}

#[test]
fn every_thread_is_confined_and_has_no_capabilities() {
    let monitor = machine("");
    let threads = threads(&monitor);
    for (name, status) in &threads {
        let of = |field: &str| status[field].as_str();
        assert_eq!((of("Seccomp"), of("NoNewPrivs")), ("2", "1"), "{name}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(of(set), "0000000000000000", "{set} of {name}");
        }
        if capabilities(None).unwrap().effective.contains(CapabilitySet::SETPCAP) {
            assert_eq!(of("CapBnd"), "0000000000000000", "{name}");
        }
    }
    // KVM adds a worker of its own on some hosts.
    let ours: Vec<_> = threads.keys().filter(|name| !name.starts_with("kvm-")).collect();
    assert_eq!(ours, ["api", "bulkhead-vmm", "metrics", "signals", "vcpu0", "vio-shared"]);
}

/// Filters are stacked, so one that is inherited would count.
#[test]
fn every_thread_has_one_filter_and_inherits_none() {
    let filters: BTreeMap<_, _> = threads(&machine(""))
        .into_iter()
        .filter(|(name, _)| !name.starts_with("kvm-"))
        .map(|(name, status)| (name, status["Seccomp_filters"].clone()))
        .collect();
    assert!(filters.values().all(|count| count == "1"), "{filters:?}");
}

#[test]
fn without_seccomp_privileges_are_dropped_all_the_same() {
    let threads = threads(&machine("--no-seccomp"));
    assert!(threads.values().all(|status| status["Seccomp"] == "0"), "{threads:?}");
    assert!(threads.values().all(|status| status["CapEff"] == "0000000000000000"));
}

#[test]
fn every_thread_becomes_the_user_that_is_asked_for() {
    if !capabilities(None).unwrap().effective.contains(CapabilitySet::SETUID) {
        eprintln!("skipped: only a privileged process can become another user");
        return;
    }
    let threads = threads(&machine("--uid 65534 --gid 65533"));
    for (name, status) in threads.iter().filter(|(name, _)| !name.starts_with("kvm-")) {
        let of = |field: &str| status[field].split_whitespace().collect::<Vec<_>>();
        assert_eq!(of("Uid"), ["65534"; 4], "{name}");
        assert_eq!(of("Gid"), ["65533"; 4], "{name}");
        assert_eq!(of("Groups"), ["65533"], "{name}");
    }
}

#[test]
fn limits_hold_and_guest_memory_is_in_no_core_dump() {
    let monitor = machine("--resource-limit no-file=100 --resource-limit fsize=5000000");
    let limits = fs::read_to_string(format!("/proc/{}/limits", monitor.pid())).unwrap();
    let of = |name: &str| -> Vec<&str> {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).collect()
    };
    assert_eq!(of("Max core file size"), ["0", "0"]);
    assert_eq!(of("Max open files"), ["100", "100"]);
    assert_eq!(of("Max file size"), ["5000000", "5000000"]);
}

#[test]
fn signal_before_the_start_ends_the_program_and_removes_its_sockets() {
    let mut monitor = Place::new().start();
    monitor.put("/vsock", &json!({ "guest_cid": 3, "uds_path": "vsock" }));
    let (socket, vsock) = (monitor.socket().to_owned(), monitor.place.path("vsock"));
    assert!(vsock.exists());
    let status = monitor.end();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
    assert!(!socket.exists() && !vsock.exists());
}

#[test]
fn everything_can_be_passed_in_as_descriptors() {
    let place = Place::new();
    place.config(&json!({
        "boot-source": { "kernel_image_path": "fd:3" },
        "drives": [{
            "drive_id": "disk",
            "path_on_host": "fd:4",
            "is_root_device": false,
            "is_read_only": false,
        }],
    }));
    let program = place.program("--config-file machine.json");
    let mut shell = Command::new("sh");
    // The files are gone once they are open.
    shell.args(["-c", r#"exec 3<sleep 4<>disk; rm sleep disk; exec "$@""#, "sh"]);
    shell.arg(program.get_program()).args(program.get_args());
    shell.current_dir(place.path(""));
    let monitor = Monitor::spawn(place, shell);
    assert_eq!(monitor.state(), "Running");
}

#[test]
fn descriptor_that_is_no_socket_is_refused() {
    let place = Place::new();
    let said = place.failure(place.program("--api-sock fd:0"));
    assert!(said.contains("fd:0 is not a unix socket that listens"), "{said}");
}
