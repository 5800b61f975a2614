//! A host without KVM, or with one that cannot be used.

use serde_json::json;

use super::harness::{Monitor, Place};

#[test]
fn missing_kvm_is_named_with_what_to_do() {
    let place = Place::new();
    place.config(&json!({}));
    let line = r#"mount -t tmpfs none /dev; exec "$@""#;
    let said = place.failure(place.unshared(line, "--config-file machine.json"));
    assert!(
        said.contains("/dev/kvm does not exist: load the kvm_intel or kvm_amd module"),
        "{said}"
    );
}

#[test]
fn kvm_that_may_not_be_opened_is_named_with_what_to_do() {
    let place = Place::new();
    place.config(&json!({}));
    // In another user namespace the owner of a file is as good as nobody.
    let line = "touch /dev/shm/kvm; chmod 0 /dev/shm/kvm; mount --bind /dev/shm/kvm /dev/kvm; \
                exec unshare --user \"$@\"";
    let line = format!("mount -t tmpfs none /dev/shm; {line}");
    let said = place.failure(place.unshared(&line, "--config-file machine.json"));
    assert!(said.contains("No permission to open /dev/kvm: add the user to the group"), "{said}");
}

#[test]
fn device_that_is_not_kvm_is_refused_by_its_api_version() {
    let place = Place::new();
    place.config(&json!({}));
    let line = r#"mount --bind /dev/null /dev/kvm; exec "$@""#;
    let said = place.failure(place.unshared(line, "--config-file machine.json"));
    assert!(said.contains("KVM API version is -1, need 12"), "{said}");
}

#[test]
fn start_without_kvm_is_refused_and_the_api_goes_on() {
    let place = Place::new();
    let command = place.unshared(r#"mount --bind /dev/null /dev/kvm; exec "$@""#, "");
    let monitor = Monitor::spawn(place, command);
    monitor.put("/boot-source", &json!({ "kernel_image_path": "sleep" }));
    let fault = monitor.fault("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
    assert_eq!(
        fault,
        "Start microvm error: KVM API version is -1, need 12 (is this the KVM device?)"
    );
    assert_eq!(monitor.state(), "Not started");
}
