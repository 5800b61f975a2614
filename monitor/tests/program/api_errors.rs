//! Firecracker's documented faults, of the program: requests that make no sense, or that name what
//! is not there. The texts are those a client of Firecracker may look for.

use serde_json::json;

use super::harness::{Monitor, Place};

const JSON: &str = "An error occurred when deserializing the json body of a request: ";

/// Method, path, body, and the fault.
type Case = (&'static str, &'static str, &'static str, &'static str);

#[track_caller]
fn assert_faults(monitor: &Monitor, cases: &[Case]) {
    for (method, path, body, expected) in cases {
        assert_eq!(monitor.fault(method, path, body), *expected, "{method} {path} {body}");
    }
}

#[test]
fn unknown_path_or_method_is_400() {
    assert_faults(
        &Place::new().start(),
        &[
            ("GET", "/nowhere", "", "Invalid request method and/or path: GET nowhere."),
            ("PUT", "/nowhere", "{}", "Invalid request method and/or path: PUT nowhere."),
            ("PATCH", "/nowhere", "{}", "Invalid request method and/or path: PATCH nowhere."),
            ("DELETE", "/nowhere", "", "Invalid request method and/or path: DELETE nowhere."),
            ("POST", "/actions", "{}", "Invalid request method and/or path: POST actions."),
            ("PATCH", "/actions", "{}", "Invalid request method and/or path: PATCH actions."),
            ("GET", "/actions", "", "Invalid request method and/or path: GET actions."),
            ("PATCH", "/vsock", "{}", "Invalid request method and/or path: PATCH vsock."),
            ("GET", "/vm/nowhere", "", "Invalid request method and/or path: GET vm."),
        ],
    );
}

#[test]
fn body_where_none_belongs_or_none_where_one_does_is_400() {
    assert_faults(
        &Place::new().start(),
        &[
            ("GET", "/", "{}", "GET request cannot have a body."),
            ("GET", "/machine-config", "{}", "GET request cannot have a body."),
            ("PUT", "/actions", "", "Empty PUT request."),
            ("PUT", "/drives/d", "", "Empty PUT request."),
            ("PATCH", "/machine-config", "", "Empty PATCH request."),
            ("PATCH", "/machine-config", "{}", "Empty PATCH request."),
            ("PATCH", "/vm", "", "Empty PATCH request."),
        ],
    );
}

#[test]
fn id_that_is_wrong_or_not_that_of_the_body_is_400() {
    const CHARACTERS: &str =
        "API Resource IDs can only contain alphanumeric characters and underscores.";
    let drive = r#"{"drive_id":"a","is_root_device":false,"path_on_host":"disk"}"#;
    let card = r#"{"iface_id":"a","host_dev_name":"t"}"#;
    assert_faults(
        &Place::new().start(),
        &[
            ("PUT", "/drives", drive, "The ID cannot be empty."),
            ("PUT", "/drives/a-b", drive, CHARACTERS),
            (
                "PUT",
                "/drives/b",
                drive,
                "The id from the path [b] does not match the id from the body [a]!",
            ),
            (
                "PATCH",
                "/drives/b",
                r#"{"drive_id":"a"}"#,
                "The id from the path [b] does not match the id from the body [a]!",
            ),
            ("PUT", "/network-interfaces/a.b", card, CHARACTERS),
            (
                "PUT",
                "/network-interfaces/b",
                card,
                "The id from the path [b] does not match the id from the body [a]!",
            ),
        ],
    );
}

/// Serde's messages, which Firecracker passes on too.
#[test]
fn body_with_the_wrong_fields_is_400_and_names_them() {
    let monitor = Place::new().start();
    let names = |method: &str, path: &str, body: &str, what: &str| {
        let fault = monitor.fault(method, path, body);
        assert!(fault.starts_with(JSON) && fault.contains(what), "{method} {path}: {fault}");
    };
    let machine = "/machine-config";
    names("PUT", machine, r#"{"mem_size_mib":128}"#, "missing field `vcpu_count` at line 1 column");
    names("PUT", machine, r#"{"vcpu_count":1}"#, "missing field `mem_size_mib` at line 1 column");
    names("PUT", machine, r#"{"vcpu_count":1,"mem_size_mib":1,"x":1}"#, "unknown field `x`");
    names("PUT", machine, r#"{"vcpu_count":-1,"mem_size_mib":1}"#, "integer `-1`");
    names("PUT", machine, r#"{"vcpu_count":"1","mem_size_mib":1}"#, r#"string "1""#);
    names("PUT", machine, r#"{"vcpu_count":1"#, "EOF while parsing an object");
    names("PUT", machine, "[1, 128]", "expected");
    names("PUT", "/actions", r#"{"action_type":"Explode"}"#, "unknown variant `Explode`");
    names("PUT", "/actions", "{}", "missing field `action_type`");
    names("PATCH", "/vm", r#"{"state":"Asleep"}"#, "unknown variant `Asleep`");
    names("PUT", "/vsock", r#"{"guest_cid":3}"#, "missing field `uds_path`");
    names("PUT", "/boot-source", "{}", "missing field `kernel_image_path`");
    names("PATCH", "/drives/d", r#"{"drive_id":"d","is_read_only":true}"#, "`is_read_only`");
    names("PATCH", "/drives/d", r#"{"drive_id":"d","io_engine":"Sync"}"#, "`io_engine`");
    names("PATCH", "/network-interfaces/n", r#"{"iface_id":"n","mtu":1}"#, "unknown field");
    let snapshot = r#"{"snapshot_path":"s","mem_backend":{"backend_type":"foo"}}"#;
    names("PUT", "/snapshot/load", snapshot, "unknown variant `foo`, expected `File` or `Uffd`");
    names(
        "PUT",
        "/snapshot/load",
        r#"{"snapshot_path":"s"}"#,
        "missing field: either `mem_backend` or `mem_file_path` is required",
    );
}

#[test]
fn values_that_no_machine_has_are_400() {
    const VCPUS: &str = "Machine config error: The number of vCPUs must be greater than 0, less \
                         than 255 and must be 1 or an even number if SMT is enabled.";
    const MEMORY: &str = "Machine config error: The memory size (MiB) is either 0, or not a \
                          multiple of the configured page size.";
    let monitor = Place::new().start();
    assert_faults(
        &monitor,
        &[
            ("PUT", "/machine-config", r#"{"vcpu_count":0,"mem_size_mib":128}"#, VCPUS),
            ("PATCH", "/machine-config", r#"{"vcpu_count":255}"#, VCPUS),
            ("PATCH", "/machine-config", r#"{"vcpu_count":3,"smt":true}"#, VCPUS),
            ("PUT", "/machine-config", r#"{"vcpu_count":1,"mem_size_mib":0}"#, MEMORY),
            ("PATCH", "/machine-config", r#"{"mem_size_mib":129,"huge_pages":"2M"}"#, MEMORY),
            (
                "PUT",
                "/balloon",
                r#"{"amount_mib":4096,"deflate_on_oom":true}"#,
                "Balloon config error: Amount of pages requested is too large.",
            ),
            (
                "PUT",
                "/mmds/config",
                r#"{"network_interfaces":[]}"#,
                "MMDS config error: The list of network interface IDs that allow forwarding MMDS \
                 requests is empty.",
            ),
        ],
    );
}

#[test]
fn what_is_not_there_is_400() {
    let monitor = Place::new().start();
    assert_faults(
        &monitor,
        &[
            (
                "PUT",
                "/actions",
                r#"{"action_type":"InstanceStart"}"#,
                "Start microvm error: Cannot start microvm without kernel configuration.",
            ),
            ("GET", "/balloon", "", "Balloon config error: No balloon device found."),
            (
                "PUT",
                "/boot-source",
                r#"{"kernel_image_path":"nowhere"}"#,
                "Boot source error: The kernel file cannot be opened: No such file or directory \
                 (os error 2)",
            ),
            (
                "PUT",
                "/boot-source",
                r#"{"kernel_image_path":"sleep","initrd_path":"nowhere"}"#,
                "Boot source error: The initrd file cannot be opened due to invalid path or \
                 invalid permissions. No such file or directory (os error 2)",
            ),
        ],
    );
    let monitor = Place::new().start_machine();
    assert_faults(
        &monitor,
        &[
            (
                "PATCH",
                "/balloon",
                r#"{"amount_mib":1}"#,
                "Balloon update error: Failed perform action on device: Device not found",
            ),
            (
                "PATCH",
                "/network-interfaces/n",
                r#"{"iface_id":"n"}"#,
                "Network config error: Unable to update the net device: Failed perform action on \
                 device: Device not found",
            ),
            (
                "PATCH",
                "/drives/d",
                r#"{"drive_id":"d","path_on_host":"disk"}"#,
                "Drive config error: Unable to patch the block device: Failed perform action on \
                 device: Device not found Please verify the request arguments.",
            ),
        ],
    );
}

#[test]
fn second_root_device_is_400() {
    let monitor = Place::new().start();
    let root = |id: &str| json!({ "drive_id": id, "path_on_host": "disk", "is_root_device": true });
    monitor.put("/drives/a", &root("a"));
    let fault = monitor.fault("PUT", "/drives/b", &root("b").to_string());
    assert_eq!(fault, "Drive config error: A root block device already exists!");
}

#[test]
fn metadata_that_grows_too_large_is_413() {
    let monitor = Place::new().start();
    monitor.put("/mmds", &json!({ "a": "x".repeat(30_000) }));
    let more = json!({ "b": "x".repeat(30_000) }).to_string();
    let reply = monitor.send("PATCH", "/mmds", &more);
    assert_eq!(reply.status, 413);
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains("MMDS limit exceeded error"), "{text}");
}

#[test]
fn fault_is_json_with_a_type_and_a_length() {
    let monitor = Place::new().start();
    let reply = monitor.send("GET", "/nowhere", "");
    let field = |name: &str| {
        let field = reply.fields.iter().find(|(n, _)| n == name);
        field.map(|(_, value)| value.clone())
    };
    assert_eq!(field("content-type").as_deref(), Some("application/json"));
    assert_eq!(field("content-length"), Some(reply.body.len().to_string()));
}
