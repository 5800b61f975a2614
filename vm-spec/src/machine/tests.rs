//! Documents that describe a machine, and such that do not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{ComponentId, Mib};

/// The document with one entry replaced, as a machine.
fn with(components: Value) -> Result<Machine, SpecError> {
    spec(json!({ "boot": { "kernel": "/k", "cmdline": "quiet" }, "components": components }))
        .try_into()
}

fn spec(document: Value) -> VmSpec {
    serde_json::from_value(document).unwrap()
}

fn parse_error(text: &str) -> String {
    serde_json::from_str::<VmSpec>(text).unwrap_err().to_string()
}

fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

#[test]
fn kernel_alone_is_a_machine_with_the_defaults() {
    let machine = Machine::try_from(spec(json!({ "boot": { "kernel": "/k" } }))).unwrap();
    assert_eq!(machine.cpu().count, 1);
    assert_eq!(machine.memory().size, Mib(128));
    assert_eq!(machine.cmdline(), crate::DEFAULT_CMDLINE);
    assert!(machine.devices().is_empty());
}

#[test]
fn disk_holds_its_file() {
    let machine = with(json!({
        "d": { "type": "disk", "backend": "f" },
        "f": { "type": "disk-file", "path": "/disk", "engine": "async" },
    }))
    .unwrap();
    let DeviceKind::Disk(disk) = &machine.devices()[0].kind else { panic!("no disk") };
    let DiskBackend::File(file) = &disk.backend else { panic!("{disk:?}") };
    assert_eq!(file.path.to_str(), Some("/disk"));
    assert_eq!(file.engine, crate::DiskEngine::Async);
}

#[test]
fn share_holds_its_folder() {
    let machine = with(json!({
        "s": { "type": "fs", "backend": "f", "tag": "src" },
        "f": { "type": "host-folder", "path": "/srv/src", "read_only": true },
    }))
    .unwrap();
    let DeviceKind::Fs(fs) = &machine.devices()[0].kind else { panic!("no share") };
    assert_eq!((fs.spec.queues, fs.spec.queue_size), (1, 512));
    let FsBackend::HostFolder(folder) = &fs.backend;
    assert_eq!((folder.path.to_str(), folder.read_only), (Some("/srv/src"), true));
    assert_eq!(folder.cache, crate::FsCache::Auto);
}

#[test]
fn tag_of_two_shares_too_long_or_empty_is_refused() {
    let share = |tag: &str, backend: &str| json!({ "type": "fs", "backend": backend, "tag": tag });
    let folder = json!({ "type": "host-folder", "path": "/srv" });
    let error = with(json!({
        "a": share("x", "fa"), "b": share("x", "fb"), "fa": folder, "fb": folder,
    }));
    let text = error.unwrap_err().to_string();
    assert_eq!(text, "components.b.tag: \"x\" already belongs to a");
    for tag in [String::new(), "t".repeat(37), "a\0b".to_owned()] {
        let error = with(json!({ "a": share(&tag, "fa"), "fa": folder })).unwrap_err();
        assert!(error.to_string().starts_with("components.a.tag: "), "{error}");
    }
}

#[test]
fn composite_disk_has_parts_and_is_read_only() {
    let composite = |read_only: bool, parts: Value| {
        with(json!({
            "d": { "type": "disk", "backend": "c", "read_only": read_only },
            "c": { "type": "disk-composite", "parts": parts },
        }))
    };
    let machine = composite(true, json!(["/a", "/b", "/a"])).unwrap();
    let DeviceKind::Disk(disk) = &machine.devices()[0].kind else { panic!("no disk") };
    let paths: Vec<_> = disk.backend.paths().filter_map(|path| path.to_str()).collect();
    assert_eq!(paths, ["/a", "/b", "/a"]);

    let refused = |read_only, parts, reason: &str| {
        let error = composite(read_only, parts).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    };
    refused(false, json!(["/a"]), "components.d.read_only: false is not allowed");
    refused(true, json!([]), "components.c.parts: 0 is not allowed");
    refused(true, json!(vec!["/a"; 129]), "components.c.parts: 129 is not allowed");
    refused(true, json!(["/a", ""]), "components.c.parts[1]: ");
}

#[test]
fn root_disk_comes_first_and_is_named_on_the_command_line() {
    let machine = with(json!({
        "a": { "type": "disk", "backend": "fa" },
        "fa": { "type": "disk-file", "path": "/a" },
        "z": { "type": "disk", "backend": "fz", "root": true, "read_only": true },
        "fz": { "type": "disk-file", "path": "/z" },
    }))
    .unwrap();
    assert_eq!(machine.devices()[0].id, id("z"));
    assert_eq!(machine.cmdline(), "quiet root=/dev/vda ro");
}

#[test]
fn root_disk_in_a_later_slot_is_named_by_its_place_among_disks() {
    let machine = with(json!({
        "a": { "type": "disk", "backend": "fa", "slot": 3 },
        "fa": { "type": "disk-file", "path": "/a" },
        "rng": { "type": "entropy", "slot": 1 },
        "z": { "type": "disk", "backend": "fz", "root": true, "slot": 9 },
        "fz": { "type": "disk-file", "path": "/z" },
    }))
    .unwrap();
    assert_eq!(machine.cmdline(), "quiet root=/dev/vdb rw");
}

#[test]
fn root_partition_is_named_by_its_uuid() {
    let machine = with(json!({
        "z": { "type": "disk", "backend": "fz", "root": true, "partuuid": "0eaa91a0-01" },
        "fz": { "type": "disk-file", "path": "/z" },
    }))
    .unwrap();
    assert_eq!(machine.cmdline(), "quiet root=PARTUUID=0eaa91a0-01 rw");
}

#[test]
fn partition_with_a_space_is_refused() {
    let error = with(json!({
        "z": { "type": "disk", "backend": "fz", "root": true, "partuuid": "1 init=/evil" },
        "fz": { "type": "disk-file", "path": "/z" },
    }))
    .unwrap_err();
    assert!(error.to_string().starts_with("components.z.partuuid: "), "{error}");
}

#[test]
fn missing_backend_is_refused_with_its_field() {
    let error = with(json!({ "d": { "type": "disk", "backend": "f" } })).unwrap_err();
    assert_eq!(error.to_string(), "components.d.backend: no component is called f");
}

#[test]
fn backend_of_another_kind_is_refused() {
    let error = with(json!({
        "d": { "type": "disk", "backend": "t" },
        "t": { "type": "tap", "name": "tap0" },
    }))
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "components.d.backend: component t is a tap, expected a disk-file or disk-composite"
    );
}

#[test]
fn backend_of_two_devices_is_refused() {
    let error = with(json!({
        "a": { "type": "disk", "backend": "f", "read_only": true },
        "b": { "type": "disk", "backend": "f", "read_only": true },
        "f": { "type": "disk-file", "path": "/disk" },
    }))
    .unwrap_err();
    assert_eq!(
        error,
        SpecError::SharedBackend {
            field: "components.b.backend".into(),
            backend: id("f"),
            first: id("a")
        }
    );
}

#[test]
fn backend_without_device_is_refused() {
    let error = with(json!({ "t": { "type": "tap", "name": "tap0" } })).unwrap_err();
    assert_eq!(error, SpecError::UnusedBackend(id("t")));
}

#[test]
fn second_root_disk_is_refused() {
    let error = with(json!({
        "a": { "type": "disk", "backend": "fa", "root": true },
        "fa": { "type": "disk-file", "path": "/a" },
        "b": { "type": "disk", "backend": "fb", "root": true },
        "fb": { "type": "disk-file", "path": "/b" },
    }))
    .unwrap_err();
    assert_eq!(error, SpecError::SecondRoot { first: id("a"), second: id("b") });
}

#[test]
fn file_of_two_writable_disks_is_refused() {
    let error = with(json!({
        "a": { "type": "disk", "backend": "fa" },
        "fa": { "type": "disk-file", "path": "/disk" },
        "b": { "type": "disk", "backend": "fb" },
        "fb": { "type": "disk-file", "path": "/disk" },
    }))
    .unwrap_err();
    assert_eq!(error.to_string(), "components.fb.path: fa already writes to /disk");
}

#[test]
fn file_of_two_read_only_disks_is_allowed() {
    let machine = with(json!({
        "a": { "type": "disk", "backend": "fa", "read_only": true },
        "fa": { "type": "disk-file", "path": "/disk" },
        "b": { "type": "disk", "backend": "fb", "read_only": true },
        "fb": { "type": "disk-file", "path": "/disk" },
    }));
    assert_eq!(machine.unwrap().devices().len(), 2);
}

#[test]
fn address_of_two_network_devices_is_refused() {
    let error = with(json!({
        "a": { "type": "net", "backend": "ta", "mac": "06:00:00:00:00:01" },
        "ta": { "type": "tap", "name": "tap0" },
        "b": { "type": "net", "backend": "tb", "mac": "06:00:00:00:00:01" },
        "tb": { "type": "tap", "name": "tap1" },
    }))
    .unwrap_err();
    assert_eq!(error.to_string(), "components.b.mac: 06:00:00:00:00:01 already belongs to a");
}

#[test]
fn group_address_is_refused() {
    let error = with(json!({
        "a": { "type": "net", "backend": "ta", "mac": "01:00:00:00:00:01" },
        "ta": { "type": "tap", "name": "tap0" },
    }))
    .unwrap_err();
    assert!(error.to_string().starts_with("components.a.mac: 01:00:00:00:00:01 "), "{error}");
}

#[test]
fn interface_name_with_a_slash_is_refused() {
    let error = with(json!({
        "a": { "type": "net", "backend": "ta" },
        "ta": { "type": "tap", "name": "../tap" },
    }))
    .unwrap_err();
    assert!(error.to_string().starts_with("components.ta.name: "), "{error}");
}

#[test]
fn cid_of_the_host_is_refused() {
    let error = with(json!({
        "v": { "type": "vsock", "backend": "u", "cid": 2 },
        "u": { "type": "vsock-unix", "path": "/v.sock" },
    }))
    .unwrap_err();
    assert_eq!(error.to_string(), "components.v.cid: 2 is not allowed, expected 3 to 4294967294");
}

#[test]
fn second_vsock_device_is_refused() {
    let error = with(json!({
        "v": { "type": "vsock", "backend": "u", "cid": 3 },
        "u": { "type": "vsock-unix", "path": "/v.sock" },
        "w": { "type": "vsock", "backend": "x", "cid": 4 },
        "x": { "type": "vsock-unix", "path": "/w.sock" },
    }))
    .unwrap_err();
    assert_eq!(error, SpecError::NotSingle { kind: "vsock", first: id("v"), second: id("w") });
}

#[test]
fn second_use_of_the_standard_streams_is_refused() {
    let error = with(json!({
        "c": { "type": "console", "backend": "s1" },
        "s1": { "type": "stream", "kind": "stdio" },
        "d": { "type": "serial", "backend": "s2" },
        "s2": { "type": "stream", "kind": "stdio" },
    }))
    .unwrap_err();
    assert_eq!(error, SpecError::SharedStdio { first: id("s1"), second: id("s2") });
}

#[test]
fn limit_of_a_consoles_file_is_not_too_small() {
    let file = |limit| {
        with(json!({
            "c": { "type": "serial", "backend": "s" },
            "s": { "type": "stream", "kind": "file", "path": "/x", "limit": limit },
        }))
    };
    let error = file(16_383).unwrap_err().to_string();
    assert!(error.contains("limit") && error.contains("at least 16384"), "{error}");
    assert!(file(16_384).is_ok());
}

#[test]
fn ports_of_a_console_have_streams_and_names_of_their_own() {
    let console = |ports: Value| {
        with(json!({
            "c": { "type": "console", "backend": "s", "ports": ports },
            "s": { "type": "stream", "kind": "null" },
            "t": { "type": "stream", "kind": "ring" },
            "u": { "type": "stream", "kind": "pty" },
        }))
    };
    let port = |name: &str, backend: &str| json!({ "name": name, "backend": backend });
    let machine = console(json!([port("org.example.0", "t"), port("b", "u")])).unwrap();
    let DeviceKind::Console(made) = &machine.devices()[0].kind else { panic!("{machine:?}") };
    assert_eq!((made.ports[1].name.as_str(), made.streams().count()), ("b", 3));

    let refused = |ports: Value, reason: &str| {
        let error = console(ports).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    };
    refused(json!([port("a", "t"), port("a", "u")]), "components.c.ports[1].name: \"a\"");
    refused(json!([port("a", "t"), port("b/c", "u")]), "components.c.ports[1].name: \"b/c\"");
    refused(json!([port("", "t")]), "components.c.ports[0].name: ");
    refused(json!([port("a", "s")]), "components.c.ports[0].backend: s already belongs to c");
    refused(json!([port("a", "none")]), "components.c.ports[0].backend: no component");
    let many: Value = (0..16).map(|n| port(&n.to_string(), "t")).collect();
    refused(many, "components.c.ports: 16 is not allowed");
}

#[test]
fn two_devices_in_one_slot_are_refused() {
    let error = with(json!({
        "a": { "type": "entropy", "slot": 4 },
        "b": { "type": "balloon", "slot": 4 },
    }))
    .unwrap_err();
    assert_eq!(error.to_string(), "components.b.slot: a is already in slot 4");
}

#[test]
fn device_31_is_refused_and_30_fit() {
    let rngs =
        |n| -> Value { (0..n).map(|i| (format!("r{i}"), json!({ "type": "entropy" }))).collect() };
    assert_eq!(with(rngs(30)).unwrap().devices().len(), 30);
    assert_eq!(with(rngs(31)).unwrap_err(), SpecError::TooManyDevices(31));
}

#[test]
fn balloon_larger_than_memory_is_refused() {
    let error = with(json!({ "b": { "type": "balloon", "target": 129 } })).unwrap_err();
    assert_eq!(
        error.to_string(),
        "components.b.target: 129 MiB is not allowed, expected at most memory.size"
    );
}

#[test]
fn metadata_service_needs_a_network_device() {
    let error = with(json!({
        "m": { "type": "mmds", "devices": ["rng"] },
        "rng": { "type": "entropy" },
    }))
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "components.m.devices: component rng is a entropy, expected a net"
    );
}

fn with_field(pointer: &str, value: Value) -> String {
    let mut document =
        json!({ "boot": { "kernel": "/k" }, "cpu": {}, "memory": {}, "components": {} });
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[field] = value;
    Machine::try_from(spec(document)).unwrap_err().to_string()
}

#[test]
fn no_vcpu_is_refused() {
    assert_eq!(
        with_field("/cpu/count", json!(0)),
        "cpu.count: 0 is not allowed, expected 1 to 254"
    );
}

#[test]
fn vcpu_255_is_refused() {
    assert!(with_field("/cpu/count", json!(255)).starts_with("cpu.count: 255 "));
}

#[test]
fn odd_count_of_vcpus_with_two_threads_is_refused() {
    let document =
        json!({ "boot": { "kernel": "/k" }, "cpu": { "count": 3, "threads_per_core": 2 } });
    let error = Machine::try_from(spec(document)).unwrap_err();
    assert!(error.to_string().starts_with("cpu.count: 3 "), "{error}");
}

#[test]
fn memory_of_31_mib_and_of_more_than_a_tib_is_refused() {
    assert!(with_field("/memory/size", json!(31)).starts_with("memory.size: 31 MiB "));
    assert!(with_field("/memory/size", json!(1_048_577)).starts_with("memory.size: 1048577 MiB "));
    assert!(with_field("/memory/size", json!(1u64 << 63)).starts_with("memory.size: "));
}

#[test]
fn newline_and_nul_in_the_command_line_are_refused() {
    let error = with_field("/boot/cmdline", json!("quiet\ninit=/x"));
    assert!(error.starts_with("boot.cmdline: character '\\n' "), "{error}");
    let error = with_field("/boot/cmdline", json!("quiet\0"));
    assert!(error.starts_with("boot.cmdline: character '\\0' "), "{error}");
}

#[test]
fn command_line_of_2048_bytes_is_refused_and_2047_is_not() {
    let document = |n| spec(json!({ "boot": { "kernel": "/k", "cmdline": "a".repeat(n) } }));
    assert!(Machine::try_from(document(2047)).is_ok());
    assert_eq!(
        Machine::try_from(document(2048)).unwrap_err(),
        SpecError::CmdlineTooLong { length: 2048, max: 2047 }
    );
}

#[test]
fn empty_kernel_path_is_refused() {
    assert!(with_field("/boot/kernel", json!("")).starts_with("boot.kernel: "));
}

#[test]
fn unknown_field_is_refused_by_name() {
    let error = parse_error(r#"{"boot":{"kernel":"/k"},"cpus":2}"#);
    assert!(error.contains("unknown field `cpus`"), "{error}");
    let error =
        parse_error(r#"{"boot":{"kernel":"/k"},"components":{"r":{"type":"entropy","speed":2}}}"#);
    assert!(error.contains("unknown field `speed`"), "{error}");
    let error = parse_error(
        r#"{"boot":{"kernel":"/k"},"components":{"r":{"type":"stream","kind":"null","path":"/x"}}}"#,
    );
    assert!(error.contains("unknown field `path`"), "{error}");
}

#[test]
fn duplicate_keys_are_refused_by_name() {
    let error = parse_error(r#"{"boot":{"kernel":"/k"},"boot":{"kernel":"/l"}}"#);
    assert!(error.contains("duplicate field `boot`"), "{error}");
    let error = parse_error(
        r#"{"boot":{"kernel":"/k"},"components":{"r":{"type":"entropy"},"r":{"type":"entropy"}}}"#,
    );
    assert!(error.contains("duplicate component `r`"), "{error}");
    let error = parse_error(
        r#"{"boot":{"kernel":"/k"},"components":{"t":{"type":"tap","name":"a","name":"b"}}}"#,
    );
    assert!(error.contains("duplicate field `name`"), "{error}");
}

#[test]
fn minus_one_vcpu_is_refused() {
    let error = parse_error(r#"{"boot":{"kernel":"/k"},"cpu":{"count":-1}}"#);
    assert!(error.contains("invalid value: integer `-1`"), "{error}");
}

#[test]
fn depth_of_ten_thousand_is_refused() {
    let text = format!("{{\"boot\":{}", "[".repeat(10_000));
    assert!(serde_json::from_str::<VmSpec>(&text).is_err());
    let text = format!("{{\"components\":{{\"a\":{{\"x\":{}", "[".repeat(10_000));
    assert!(parse_error(&text).contains("recursion limit"));
}

mod round_trip;
