//! Disks that cannot be, and too many of them.

use serde_json::{Value, json};

use super::harness::{Monitor, Place};

fn drive(id: &str, path: &str, read_only: bool) -> Value {
    json!({
        "drive_id": id, "path_on_host": path, "is_root_device": false, "is_read_only": read_only
    })
}

#[test]
fn disk_that_is_writable_twice_is_refused() {
    let place = Place::new();
    place.config(&json!({ "drives": [drive("a", "disk", false), drive("b", "disk", false)] }));
    let said = place.refusal();
    assert!(said.contains("disk disk is in use, and only one user may write to it"), "{said}");
}

#[test]
fn disk_that_another_machine_writes_is_refused() {
    let first = Place::new().start();
    first.put("/drives/a", &drive("a", "disk", false));
    let path = first.place.path("disk");
    let second = Place::new().start();
    let body = drive("a", path.to_str().unwrap(), false).to_string();
    let fault = second.fault("PUT", "/drives/a", &body);
    assert!(fault.contains(path.to_str().unwrap()) && fault.contains("in use"), "{fault}");
}

#[test]
fn image_that_is_read_only_is_not_opened_for_writing() {
    let place = Place::new();
    place.config(&json!({ "drives": [drive("a", "disk", false)] }));
    let line = r#"mount --bind disk disk; mount -o remount,bind,ro disk; exec "$@""#;
    let said = place.failure(place.unshared(line, "--config-file machine.json"));
    assert!(said.contains("disk") && said.contains("Read-only file system"), "{said}");
}

#[test]
fn missing_disk_and_folder_are_named() {
    let monitor = Place::new().start();
    let fault =
        |path: &str| monitor.fault("PUT", "/drives/a", &drive("a", path, false).to_string());
    let cannot = "Drive config error: Unable to create the virtio block device: Virtio backend \
                  error: Error manipulating the backing file: ";
    let missing = fault("nowhere");
    assert!(missing.starts_with(cannot) && missing.contains("No such file"), "{missing}");
    let folder = fault(".");
    assert!(folder.starts_with(cannot), "{folder}");
    assert_eq!(monitor.state(), "Not started");
}

/// A monitor that is about to start a machine with this many disks.
fn with_disks(count: u32) -> Monitor {
    let monitor = Place::new().start();
    monitor.put("/boot-source", &json!({ "kernel_image_path": "sleep" }));
    for index in 0..count {
        let id = format!("d{index}");
        monitor.put(&format!("/drives/{id}"), &drive(&id, "disk", true));
    }
    monitor
}

#[test]
fn thirty_disks_are_a_machine() {
    let monitor = with_disks(30);
    monitor.put("/actions", &json!({ "action_type": "InstanceStart" }));
    assert_eq!(monitor.state(), "Running");
}

#[test]
fn thirty_one_disks_are_refused() {
    let fault = with_disks(31).fault("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
    assert_eq!(fault, "Start microvm error: more than 30 devices");
}
