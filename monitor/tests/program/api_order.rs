//! What may be asked for before the start, and what after it, of the program with a machine.

use serde_json::json;

use super::harness::Place;

const BEFORE: &str = "The requested operation is not supported before starting the microVM.";
const AFTER: &str = "The requested operation is not supported after starting the microVM.";

/// Well-formed requests that configure a machine.
const BEFORE_ONLY: &[(&str, &str, &str)] = &[
    ("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#),
    ("PUT", "/boot-source", r#"{"kernel_image_path":"sleep"}"#),
    ("PUT", "/machine-config", r#"{"vcpu_count":1,"mem_size_mib":64}"#),
    ("PATCH", "/machine-config", r#"{"vcpu_count":1}"#),
    ("PUT", "/cpu-config", "{}"),
    ("PUT", "/vsock", r#"{"guest_cid":3,"uds_path":"v"}"#),
    ("PUT", "/entropy", "{}"),
    ("PUT", "/serial", "{}"),
    ("PUT", "/balloon", r#"{"amount_mib":1,"deflate_on_oom":true}"#),
    ("PUT", "/logger", "{}"),
    ("PUT", "/metrics", r#"{"metrics_path":"m"}"#),
    ("PUT", "/mmds/config", r#"{"network_interfaces":[]}"#),
];

/// Well-formed requests that need a guest.
const AFTER_ONLY: &[(&str, &str, &str)] = &[
    ("PUT", "/actions", r#"{"action_type":"FlushMetrics"}"#),
    ("PUT", "/actions", r#"{"action_type":"SendCtrlAltDel"}"#),
    ("PATCH", "/vm", r#"{"state":"Paused"}"#),
    ("PATCH", "/vm", r#"{"state":"Resumed"}"#),
    ("PATCH", "/drives/d", r#"{"drive_id":"d","path_on_host":"disk"}"#),
    ("PATCH", "/network-interfaces/n", r#"{"iface_id":"n"}"#),
    ("PATCH", "/balloon", r#"{"amount_mib":1}"#),
    ("GET", "/balloon/statistics", ""),
    ("PATCH", "/balloon/statistics", r#"{"stats_polling_interval_s":1}"#),
];

/// Well-formed requests of later versions.
const LATER: &[(&str, &str, &str)] = &[
    ("PUT", "/pmem/p", r#"{"id":"p","path_on_host":"disk"}"#),
    ("PATCH", "/pmem/p", r#"{"id":"p"}"#),
    ("DELETE", "/pmem/p", ""),
    ("GET", "/hotplug/memory", ""),
    ("PUT", "/hotplug/memory", r#"{"total_size_mib":1024}"#),
    ("PATCH", "/hotplug/memory", r#"{"requested_size_mib":128}"#),
    ("PUT", "/snapshot/create", r#"{"snapshot_path":"s","mem_file_path":"m"}"#),
    ("PUT", "/snapshot/load", r#"{"snapshot_path":"s","mem_file_path":"m"}"#),
];

#[test]
fn what_needs_a_guest_is_refused_before_the_start() {
    let monitor = Place::new().start();
    for (method, path, body) in AFTER_ONLY {
        assert_eq!(monitor.fault(method, path, body), BEFORE, "{method} {path}");
    }
}

#[test]
fn what_configures_is_refused_after_the_start_and_while_paused() {
    let monitor = Place::new().start_machine();
    for (method, path, body) in BEFORE_ONLY {
        assert_eq!(monitor.fault(method, path, body), AFTER, "{method} {path}");
    }
    assert_eq!(monitor.send("PATCH", "/vm", r#"{"state":"Paused"}"#).status, 204);
    assert_eq!(monitor.state(), "Paused");
    for (method, path, body) in BEFORE_ONLY {
        assert_eq!(monitor.fault(method, path, body), AFTER, "{method} {path}");
    }
}

#[test]
fn what_a_later_version_brings_says_so_at_all_times() {
    for monitor in [Place::new().start(), Place::new().start_machine()] {
        for (method, path, body) in LATER {
            let what = format!("{method} {}", path.trim_end_matches("/p"));
            assert_eq!(
                monitor.fault(method, path, body),
                format!("The requested operation is not supported: {what} is not available yet.")
            );
        }
    }
}

#[test]
fn devices_of_a_running_machine_are_not_plugged_yet() {
    let monitor = Place::new().start_machine();
    let drive = r#"{"drive_id":"d","path_on_host":"disk","is_root_device":false}"#;
    let fault = monitor.fault("PUT", "/drives/d", drive);
    assert!(fault.ends_with("PUT /drives while the guest runs is not available yet."), "{fault}");
    let card = r#"{"iface_id":"n","host_dev_name":"tap0"}"#;
    let fault = monitor.fault("PUT", "/network-interfaces/n", card);
    assert!(fault.ends_with("while the guest runs is not available yet."), "{fault}");
    let fault = monitor.fault("DELETE", "/drives/d", "");
    assert!(fault.ends_with("DELETE /drives is not available yet."), "{fault}");
}

#[test]
fn reading_is_allowed_at_all_times() {
    for monitor in [Place::new().start(), Place::new().start_machine()] {
        for path in ["/", "/version", "/vm/config", "/machine-config", "/mmds"] {
            let reply = monitor.send("GET", path, "");
            assert_eq!(reply.status, 200, "{path}");
            assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap().is_object());
        }
    }
}

#[test]
fn accepted_changes_are_204_without_a_body() {
    let monitor = Place::new().start_machine();
    for state in ["Paused", "Paused", "Resumed", "Resumed"] {
        let reply = monitor.send("PATCH", "/vm", &json!({ "state": state }).to_string());
        assert_eq!((reply.status, reply.body), (204, vec![]));
    }
    assert_eq!(monitor.state(), "Running");
}
