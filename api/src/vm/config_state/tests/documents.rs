//! Whole configurations: files, `GET /vm/config` and the machine that comes of them.

use serde_json::json;
use vm_spec::{DeviceKind, Machine, Transport};

use super::*;

fn machine(vm: &Vm) -> Machine {
    Machine::try_from(vm.state.spec().unwrap()).unwrap()
}

#[test]
fn empty_configuration_shows_the_defaults() {
    let config = serde_json::to_value(Vm::new().config()).unwrap();
    assert_eq!(
        config,
        json!({
            "balloon": null, "drives": [], "cpu-config": null, "logger": null, "metrics": null,
            "boot-source": { "kernel_image_path": "", "initrd_path": null, "boot_args": null },
            "machine-config": {
                "vcpu_count": 1, "mem_size_mib": 128, "smt": false, "track_dirty_pages": false,
                "huge_pages": "None",
            },
            "mmds-config": null, "network-interfaces": [], "vsock": null, "entropy": null,
            "pmem": [], "memory-hotplug": null,
        })
    );
}

#[test]
fn drive_is_shown_with_the_defaults_of_what_was_not_set() {
    let mut vm = Vm::new();
    vm.put("/drives/d", r#"{"drive_id":"d","is_root_device":true,"path_on_host":"/d"}"#);
    let config = serde_json::to_value(vm.config()).unwrap();
    assert_eq!(
        config["drives"][0],
        json!({
            "drive_id": "d", "partuuid": null, "is_root_device": true, "cache_type": "Unsafe",
            "is_read_only": false, "path_on_host": "/d", "rate_limiter": null,
            "io_engine": "Sync", "socket": null,
        })
    );
}

#[test]
fn root_drive_is_the_first_disk_whenever_it_was_put() {
    let mut vm = Vm::with_kernel();
    vm.put("/drives/a", r#"{"drive_id":"a","is_root_device":false,"path_on_host":"/a"}"#);
    vm.put("/drives/b", r#"{"drive_id":"b","is_root_device":false,"path_on_host":"/b"}"#);
    vm.put(
        "/drives/c",
        r#"{"drive_id":"c","is_root_device":true,"is_read_only":true,"path_on_host":"/c"}"#,
    );
    let machine = machine(&vm);
    let ids: Vec<_> = machine.devices().iter().map(|device| device.id.to_string()).collect();
    assert_eq!(ids, ["c", "a", "b"]);
    assert!(machine.cmdline().ends_with(" root=/dev/vda ro"));
}

#[test]
fn drive_that_becomes_the_root_moves_to_the_front() {
    let mut vm = Vm::with_kernel();
    vm.put("/drives/a", r#"{"drive_id":"a","is_root_device":false,"path_on_host":"/a"}"#);
    vm.put("/drives/b", r#"{"drive_id":"b","is_root_device":false,"path_on_host":"/b"}"#);
    vm.put("/drives/b", r#"{"drive_id":"b","is_root_device":true,"path_on_host":"/b"}"#);
    assert_eq!(machine(&vm).devices()[0].id.as_str(), "b");
}

#[test]
fn all_objects_become_devices_of_the_machine() {
    let mut vm = Vm::with_kernel();
    vm.put(
        "/machine-config",
        r#"{"vcpu_count":4,"mem_size_mib":512,"smt":true,"huge_pages":"2M"}"#,
    );
    vm.put("/cpu-config", r#"{"msr_modifiers":[{"addr":"0x10","bitmap":"0b1"}]}"#);
    vm.put("/drives/x", r#"{"drive_id":"x","is_root_device":true,"path_on_host":"/x"}"#);
    vm.put("/network-interfaces/x", r#"{"iface_id":"x","host_dev_name":"tap0"}"#);
    vm.put("/vsock", r#"{"guest_cid":3,"uds_path":"/v"}"#);
    vm.put("/balloon", r#"{"amount_mib":1,"deflate_on_oom":true}"#);
    vm.put("/entropy", "{}");
    vm.put("/mmds/config", r#"{"network_interfaces":["x"]}"#);
    let machine = machine(&vm);
    let kinds: Vec<_> = machine
        .devices()
        .iter()
        .map(|device| match device.kind {
            DeviceKind::Balloon(_) => "balloon",
            DeviceKind::Disk(_) => "disk",
            DeviceKind::Fs(_) => "fs",
            DeviceKind::Net(_) => "net",
            DeviceKind::Vsock(_) => "vsock",
            DeviceKind::Entropy(_) => "entropy",
            DeviceKind::Console(_) => "console",
        })
        .collect();
    assert_eq!(kinds, ["balloon", "disk", "net", "vsock", "entropy"]);
    assert_eq!((machine.cpu().count, machine.cpu().threads_per_core), (4, 2));
    assert_eq!(machine.cpu().template.msrs.len(), 1);
    assert_eq!(machine.mmds().unwrap().devices[0].as_str(), "x-net");
    assert!(machine.serial().is_some() && machine.has_vm_gen_id());
}

#[test]
fn drives_may_be_called_like_devices() {
    let mut vm = Vm::with_kernel();
    vm.put("/vsock", r#"{"guest_cid":3,"uds_path":"/v"}"#);
    for name in ["vsock", "serial", "entropy", "vmgenid", "mmds", "balloon"] {
        let body =
            format!(r#"{{"drive_id":"{name}","is_root_device":false,"path_on_host":"/{name}"}}"#);
        vm.put(&format!("/drives/{name}"), &body);
    }
    assert_eq!(machine(&vm).devices().len(), 7);
}

#[test]
fn memory_too_small_for_a_machine_is_refused_at_the_start() {
    let mut vm = Vm::with_kernel();
    vm.put("/machine-config", r#"{"vcpu_count":1,"mem_size_mib":16}"#);
    let fault = vm.fault("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
    assert!(fault.starts_with("Start microvm error: memory.size: 16 MiB "), "{fault}");
}

#[test]
fn board_of_the_command_line_reaches_the_machine() {
    let mut vm = Vm::with_kernel();
    vm.state.identity.board =
        BoardSpec { transport: Transport::Mmio, boot_timer: true, ecam_only: true };
    assert_eq!(machine(&vm).board().transport, Transport::Mmio);
    assert!(machine(&vm).board().boot_timer && machine(&vm).board().ecam_only);
}

const FILE: &str = r#"{
    "boot-source": { "kernel_image_path": "/k", "boot_args": "quiet" },
    "drives": [{ "drive_id": "r", "is_root_device": true, "path_on_host": "/r" }],
    "machine-config": { "vcpu_count": 2, "mem_size_mib": 256 },
    "cpu-config": "/cpu.json",
    "network-interfaces": [{ "iface_id": "e", "host_dev_name": "tap0" }],
    "mmds-config": { "network_interfaces": ["e"] },
    "logger": { "log_path": "/log" },
    "metrics": { "metrics_path": "/metrics" }
}"#;

#[test]
fn file_of_objects_is_as_good_as_the_requests() {
    let mut vm = Vm::new();
    vm.state.load(ConfigFile::parse(FILE).unwrap(), &mut vm.host).unwrap();
    assert_eq!(
        vm.host.0,
        ["cpu /cpu.json", "log /log", "metrics /metrics", "kernel /k", "drive /r", "tap tap0"]
    );
    let machine = machine(&vm);
    assert_eq!(machine.cmdline(), "quiet root=/dev/vda rw");
    assert_eq!(machine.cpu().template.msrs[0].index, 0x10);
}

#[test]
fn file_with_an_unknown_or_missing_field_is_refused_by_its_name() {
    let fault = |text: &str| ConfigFile::parse(text).unwrap_err().to_string();
    assert!(
        fault(r#"{"drives":[],"boot-source":{"kernel_image_path":"k"},"disk":1}"#)
            .contains("unknown field `disk`")
    );
    assert!(fault(r#"{"drives":[]}"#).contains("missing field `boot-source`"));
    assert!(fault(r#"{"drives":[{"drive_id":1}]}"#).contains("in `drives[0].drive_id`"));
    assert!(fault("").contains("EOF"));
}

#[test]
fn fault_of_an_object_in_a_file_is_that_of_its_request() {
    let text = FILE.replace("\"/r\"", "\"missing\"");
    let mut vm = Vm::new();
    let fault = vm.state.load(ConfigFile::parse(&text).unwrap(), &mut vm.host).unwrap_err();
    assert!(fault.to_string().starts_with("Drive config error: "), "{fault}");
}

const SPEC: &str = r#"{
    "boot": { "kernel": "/k", "initrd": "/i", "cmdline": "quiet" },
    "components": {
        "root":  { "type": "disk", "backend": "file", "root": true },
        "file":  { "type": "disk-file", "path": "/r" },
        "eth0":  { "type": "net", "backend": "tap" },
        "tap":   { "type": "tap", "name": "tap0" },
        "con":   { "type": "console", "backend": "out" },
        "out":   { "type": "stream", "kind": "file", "path": "/c" },
        "b":     { "type": "balloon", "target": 4 }
    }
}"#;

#[test]
fn native_file_is_opened_and_started_as_it_is() {
    let mut vm = Vm::new();
    vm.state.load(ConfigFile::parse(SPEC).unwrap(), &mut vm.host).unwrap();
    assert_eq!(
        vm.host.0,
        [
            "kernel /k",
            "initrd /i",
            "drive /r",
            r#"stream File { path: "/c", limit: None }"#,
            "tap tap0"
        ]
    );
    assert_eq!(vm.state.spec().unwrap(), serde_json::from_str(SPEC).unwrap());
    vm.start();
    assert_eq!(vm.state.state(), InstanceState::Running);
}

#[test]
fn native_file_with_a_fault_names_its_field() {
    let text = SPEC.replace("\"/r\"", "\"missing\"");
    let mut vm = Vm::new();
    let fault = vm.state.load(ConfigFile::parse(&text).unwrap(), &mut vm.host).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "Spec error: components.root: cannot open: No such file or directory (os error 2)"
    );
    let text = SPEC.replace("\"backend\": \"file\"", "\"backend\": \"nothing\"");
    let fault = vm.state.load(ConfigFile::parse(&text).unwrap(), &mut vm.host).unwrap_err();
    assert!(fault.to_string().starts_with("Spec error: components.root.backend: "), "{fault}");
}

#[test]
fn native_machine_is_seen_and_changed_through_the_objects() {
    let mut vm = Vm::new();
    vm.put("/bulkhead/spec", SPEC);
    assert_eq!(vm.config().drives[0].drive_id, "root");
    assert_eq!(vm.config().network_interfaces[0].host_dev_name, "tap0");
    vm.start();
    vm.done("PATCH", "/drives/root", r#"{"drive_id":"root","path_on_host":"/other"}"#);
    vm.done("PATCH", "/balloon", r#"{"amount_mib":16}"#);
    assert_eq!(vm.config().drives[0].path_on_host.as_deref(), Some("/other"));
    assert_eq!(vm.config().balloon.unwrap().amount_mib, 16);
}

#[test]
fn objects_cannot_be_put_into_a_native_machine() {
    let mut vm = Vm::new();
    vm.put("/bulkhead/spec", SPEC);
    let fault = vm.fault("PUT", "/entropy", "{}");
    assert!(fault.starts_with("Spec error: the machine was configured as a whole"), "{fault}");
}
