//! What a client sees of the rules: Firecracker's documented faults and orders.

mod documents;
mod fake_vm;
mod running;

use vm_spec::BoardSpec;

use super::*;
use fake_vm::Vm;

const BEFORE: &str = "The requested operation is not supported before starting the microVM.";
const AFTER: &str = "The requested operation is not supported after starting the microVM.";

/// Requests with a body that is right.
const PRE_BOOT_ONLY: &[(&str, &str, &str)] = &[
    ("PUT", "/boot-source", r#"{"kernel_image_path":"/k"}"#),
    ("PUT", "/machine-config", r#"{"vcpu_count":1,"mem_size_mib":64}"#),
    ("PATCH", "/machine-config", r#"{"vcpu_count":1}"#),
    ("PUT", "/cpu-config", "{}"),
    ("PUT", "/vsock", r#"{"guest_cid":3,"uds_path":"/v"}"#),
    ("PUT", "/entropy", "{}"),
    ("PUT", "/serial", "{}"),
    ("PUT", "/balloon", r#"{"amount_mib":1,"deflate_on_oom":true}"#),
    ("PUT", "/logger", "{}"),
    ("PUT", "/metrics", r#"{"metrics_path":"/m"}"#),
    ("PUT", "/mmds/config", r#"{"network_interfaces":[]}"#),
    ("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#),
    ("PUT", "/bulkhead/spec", r#"{"boot":{"kernel":"/k"}}"#),
];

const RUNNING_ONLY: &[(&str, &str, &str)] = &[
    ("PUT", "/actions", r#"{"action_type":"FlushMetrics"}"#),
    ("PUT", "/actions", r#"{"action_type":"SendCtrlAltDel"}"#),
    ("PATCH", "/vm", r#"{"state":"Paused"}"#),
    ("PATCH", "/vm", r#"{"state":"Resumed"}"#),
    ("PATCH", "/drives/d", r#"{"drive_id":"d","path_on_host":"/x"}"#),
    ("DELETE", "/drives/d", ""),
    ("PATCH", "/network-interfaces/n", r#"{"iface_id":"n"}"#),
    ("DELETE", "/network-interfaces/n", ""),
    ("PATCH", "/balloon", r#"{"amount_mib":1}"#),
    ("GET", "/balloon/statistics", ""),
    ("PATCH", "/balloon/statistics", r#"{"stats_polling_interval_s":1}"#),
    ("PATCH", "/balloon/hinting/start", ""),
    ("GET", "/balloon/hinting/status", ""),
    ("PATCH", "/balloon/hinting/stop", ""),
    ("PUT", "/bulkhead/actions", r#"{"action_type":"PowerButton"}"#),
    ("GET", "/bulkhead/console", ""),
];

/// Requests of later versions.
const LATER: &[(&str, &str, &str)] = &[
    ("PUT", "/pmem/p", r#"{"id":"p","path_on_host":"/p"}"#),
    ("PATCH", "/pmem/p", r#"{"id":"p"}"#),
    ("DELETE", "/pmem/p", ""),
    ("GET", "/hotplug/memory", ""),
    ("PUT", "/hotplug/memory", r#"{"total_size_mib":1024}"#),
    ("PATCH", "/hotplug/memory", r#"{"requested_size_mib":128}"#),
    ("PUT", "/snapshot/create", r#"{"snapshot_path":"s","mem_file_path":"m"}"#),
    ("PUT", "/snapshot/load", r#"{"snapshot_path":"s","mem_file_path":"m"}"#),
];

#[test]
fn what_configures_is_refused_after_the_start() {
    let mut vm = Vm::started();
    for (method, path, body) in PRE_BOOT_ONLY {
        assert_eq!(vm.fault(method, path, body), AFTER, "{method} {path}");
    }
}

#[test]
fn what_needs_a_guest_is_refused_before_the_start() {
    let mut vm = Vm::with_kernel();
    for (method, path, body) in RUNNING_ONLY {
        assert_eq!(vm.fault(method, path, body), BEFORE, "{method} {path}");
    }
}

#[test]
fn what_needs_a_guest_is_refused_before_the_start_of_a_document_too() {
    let mut vm = Vm::new();
    vm.put("/bulkhead/spec", r#"{"boot":{"kernel":"/k"}}"#);
    for (method, path, body) in RUNNING_ONLY {
        assert_eq!(vm.fault(method, path, body), BEFORE, "{method} {path}");
    }
}

#[test]
fn what_comes_later_says_so_before_and_after_the_start() {
    for mut vm in [Vm::new(), Vm::started()] {
        for (method, path, body) in LATER {
            let what = path.strip_suffix("/p").unwrap_or(path);
            assert_eq!(vm.fault(method, path, body), later(&format!("{method} {what}")));
        }
    }
}

#[test]
fn drives_that_come_later_say_so() {
    let vhost = r#"{"drive_id":"d","is_root_device":false,"socket":"/s"}"#;
    assert_eq!(Vm::new().fault("PUT", "/drives/d", vhost), later("a vhost-user drive"));
    let mut vm = Vm::started();
    assert_eq!(vm.fault("DELETE", "/drives/d", ""), later("DELETE /drives"));
    let drive = r#"{"drive_id":"d","is_root_device":false,"path_on_host":"/d"}"#;
    assert_eq!(vm.fault("PUT", "/drives/d", drive), later("PUT /drives while the guest runs"));
}

fn later(what: &str) -> String {
    format!("The requested operation is not supported: {what} is not available yet.")
}

#[test]
fn start_without_a_kernel_is_refused() {
    assert_eq!(
        Vm::new().fault("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#),
        "Start microvm error: Cannot start microvm without kernel configuration."
    );
}

#[test]
fn state_follows_start_pause_and_resume() {
    let mut vm = Vm::with_kernel();
    assert_eq!(vm.state.state(), InstanceState::NotStarted);
    vm.start();
    assert_eq!(vm.state.state(), InstanceState::Running);
    let pause = r#"{"state":"Paused"}"#;
    assert_eq!(vm.done("PATCH", "/vm", pause), Some(Operation::Pause));
    assert_eq!(vm.state.state(), InstanceState::Paused);
    assert_eq!(vm.done("PATCH", "/vm", pause), None);
    assert_eq!(vm.done("PATCH", "/vm", r#"{"state":"Resumed"}"#), Some(Operation::Resume));
    assert_eq!(vm.state.state(), InstanceState::Running);
}

#[test]
fn operation_that_failed_changes_nothing() {
    let mut vm = Vm::with_kernel();
    let start = VmRequest::Action(crate::vm::wire::ActionType::InstanceStart);
    let failed = vm.state.answer(start, &mut vm.host, |_, _| Err(VmFault::Start("no".into())));
    assert_eq!(failed.unwrap_err(), VmFault::Start("no".into()));
    assert_eq!(vm.state.state(), InstanceState::NotStarted);
}

#[test]
fn instance_says_who_it_is() {
    let VmResponse::Instance(info) = Vm::started().reply("/") else { panic!() };
    assert_eq!((info.id.as_str(), info.state), ("vm1", InstanceState::Running));
    assert_eq!((info.app_name.as_str(), info.vmm_version.as_str()), ("Test", "1.2.3"));
}

#[test]
fn kernel_that_cannot_be_opened_is_refused() {
    assert_eq!(
        Vm::new().fault("PUT", "/boot-source", r#"{"kernel_image_path":"missing"}"#),
        "Boot source error: The kernel file cannot be opened: No such file or directory (os \
         error 2)"
    );
}

#[test]
fn initrd_that_cannot_be_opened_is_refused() {
    let body = r#"{"kernel_image_path":"/k","initrd_path":"missing"}"#;
    assert_eq!(
        Vm::new().fault("PUT", "/boot-source", body),
        "Boot source error: The initrd file cannot be opened due to invalid path or invalid \
         permissions. No such file or directory (os error 2)"
    );
}

#[test]
fn command_line_with_a_newline_or_too_long_is_refused() {
    let newline = r#"{"kernel_image_path":"/k","boot_args":"a\nb"}"#;
    assert_eq!(
        Vm::new().fault("PUT", "/boot-source", newline),
        "Boot source error: The kernel command line is invalid: String contains a non-printable \
         ASCII character."
    );
    let long = format!(r#"{{"kernel_image_path":"/k","boot_args":"{}"}}"#, "a".repeat(2048));
    assert_eq!(
        Vm::new().fault("PUT", "/boot-source", &long),
        "Boot source error: The kernel command line is invalid: Inserting string would make \
         command line too long."
    );
}

const VCPUS: &str = "Machine config error: The number of vCPUs must be greater than 0, less than \
                     255 and must be 1 or an even number if SMT is enabled.";
const MEMORY: &str = "Machine config error: The memory size (MiB) is either 0, or not a multiple \
                      of the configured page size.";

#[test]
fn count_of_vcpus_is_checked() {
    let mut vm = Vm::new();
    let patch = |vm: &mut Vm, body: &str| vm.fault("PATCH", "/machine-config", body);
    assert_eq!(patch(&mut vm, r#"{"vcpu_count":0}"#), VCPUS);
    assert_eq!(patch(&mut vm, r#"{"vcpu_count":255}"#), VCPUS);
    assert_eq!(patch(&mut vm, r#"{"vcpu_count":3,"smt":true}"#), VCPUS);
    vm.done("PATCH", "/machine-config", r#"{"vcpu_count":1,"smt":true}"#);
    vm.done("PATCH", "/machine-config", r#"{"vcpu_count":254,"smt":true}"#);
    assert_eq!(vm.config().machine_config.unwrap().vcpu_count, 254);
}

#[test]
fn size_of_memory_is_checked() {
    let mut vm = Vm::new();
    assert_eq!(vm.fault("PATCH", "/machine-config", r#"{"mem_size_mib":0}"#), MEMORY);
    let odd = r#"{"mem_size_mib":63,"huge_pages":"2M"}"#;
    assert_eq!(vm.fault("PATCH", "/machine-config", odd), MEMORY);
}

#[test]
fn memory_smaller_than_the_balloon_is_refused() {
    let mut vm = Vm::new();
    vm.put("/balloon", r#"{"amount_mib":100,"deflate_on_oom":true}"#);
    assert_eq!(
        vm.fault("PATCH", "/machine-config", r#"{"mem_size_mib":64}"#),
        "Machine config error: The memory size (MiB) is smaller than the previously set balloon \
         device target size."
    );
}

#[test]
fn balloon_larger_than_memory_is_refused() {
    assert_eq!(
        Vm::new().fault("PUT", "/balloon", r#"{"amount_mib":129,"deflate_on_oom":true}"#),
        "Balloon config error: Amount of pages requested is too large."
    );
}

#[test]
fn balloon_that_is_not_there_is_said_so() {
    assert_eq!(
        Vm::new().fault("GET", "/balloon", ""),
        "Balloon config error: No balloon device found."
    );
}

#[test]
fn static_template_for_another_processor_is_refused_at_the_start() {
    let mut vm = Vm::with_kernel();
    let start = r#"{"action_type":"InstanceStart"}"#;
    let fault = |why: &str| format!("Start microvm error: Failed to get CPU template: {why}");
    vm.done("PATCH", "/machine-config", r#"{"cpu_template":"T2A"}"#);
    assert_eq!(
        vm.fault("PUT", "/actions", start),
        fault("CPU vendor mismatched between actual CPU and CPU template.")
    );
    vm.done("PATCH", "/machine-config", r#"{"cpu_template":"T2S"}"#);
    assert_eq!(
        vm.fault("PUT", "/actions", start),
        fault("The current CPU model is not permitted to apply the CPU template.")
    );
    vm.done("PATCH", "/machine-config", r#"{"cpu_template":"None"}"#);
    vm.start();
}

#[test]
fn static_template_reaches_the_machine_until_a_custom_one_replaces_it() {
    let mut vm = Vm::with_kernel();
    vm.done("PATCH", "/machine-config", r#"{"cpu_template":"T2CL"}"#);
    let template = vm.state.spec().unwrap().cpu.template;
    assert_eq!((template.cpuid.len(), template.msrs.len()), (6, 1));
    vm.put("/cpu-config", r#"{"kvm_capabilities":["!121"]}"#);
    let template = vm.state.spec().unwrap().cpu.template;
    assert_eq!(template.cpuid, []);
    assert_eq!(template.capabilities, [vm_spec::CapabilityModifier::Ignore(121)]);
}

#[test]
fn second_root_drive_is_refused() {
    let mut vm = Vm::new();
    vm.put("/drives/a", r#"{"drive_id":"a","is_root_device":true,"path_on_host":"/a"}"#);
    assert_eq!(
        vm.fault(
            "PUT",
            "/drives/b",
            r#"{"drive_id":"b","is_root_device":true,"path_on_host":"/b"}"#
        ),
        "Drive config error: A root block device already exists!"
    );
}

#[test]
fn drive_whose_file_cannot_be_opened_is_refused() {
    let body = r#"{"drive_id":"a","is_root_device":false,"path_on_host":"missing"}"#;
    assert_eq!(
        Vm::new().fault("PUT", "/drives/a", body),
        "Drive config error: Unable to create the virtio block device: Virtio backend error: \
         Error manipulating the backing file: No such file or directory (os error 2) missing"
    );
}

#[test]
fn drive_without_a_file_is_refused() {
    assert_eq!(
        Vm::new().fault("PUT", "/drives/a", r#"{"drive_id":"a","is_root_device":false}"#),
        "Drive config error: Unable to create the virtio block device: Invalid block config."
    );
}

#[test]
fn file_of_a_drive_that_was_put_again_is_closed() {
    let mut vm = Vm::new();
    vm.put("/drives/a", r#"{"drive_id":"a","is_root_device":false,"path_on_host":"/1"}"#);
    vm.put(
        "/drives/a",
        r#"{"drive_id":"a","is_root_device":false,"is_read_only":true,"path_on_host":"/2"}"#,
    );
    assert_eq!(vm.host.0, ["drive /1", "drive(ro) /2", "close /1"]);
}

#[test]
fn address_of_another_interface_is_refused() {
    let mut vm = Vm::new();
    let put = |id, tap| {
        format!(r#"{{"iface_id":"{id}","host_dev_name":"{tap}","guest_mac":"06:00:00:00:00:01"}}"#)
    };
    vm.put("/network-interfaces/a", &put("a", "tap0"));
    assert_eq!(
        vm.fault("PUT", "/network-interfaces/b", &put("b", "tap1")),
        "Network config error: The MAC address is already in use: 06:00:00:00:00:01"
    );
    vm.put("/network-interfaces/a", &put("a", "tap1"));
    assert_eq!(vm.host.0, ["tap tap0", "tap tap1", "close tap0"]);
}

#[test]
fn tap_of_another_interface_is_refused() {
    let mut vm = Vm::new();
    vm.put("/network-interfaces/a", r#"{"iface_id":"a","host_dev_name":"tap0"}"#);
    let fault =
        vm.fault("PUT", "/network-interfaces/b", r#"{"iface_id":"b","host_dev_name":"tap0"}"#);
    assert!(fault.starts_with("Network config error: Could not create the network device: "));
}

#[test]
fn mtu_of_67_is_refused() {
    assert_eq!(
        Vm::new().fault(
            "PUT",
            "/network-interfaces/a",
            r#"{"iface_id":"a","host_dev_name":"tap0","mtu":67}"#
        ),
        "Network config error: Could not create the network device: MTU 67 is out of range [68, \
         65535]"
    );
}

#[test]
fn cid_of_the_host_is_refused() {
    let fault = Vm::new().fault("PUT", "/vsock", r#"{"guest_cid":2,"uds_path":"/v"}"#);
    assert!(fault.starts_with("Vsock config error: Cannot create vsock device: guest_cid 2 "));
}

#[test]
fn vsock_that_was_put_again_replaces_its_socket() {
    let mut vm = Vm::new();
    vm.put("/vsock", r#"{"guest_cid":3,"uds_path":"/v"}"#);
    vm.put("/vsock", r#"{"guest_cid":4,"uds_path":"/v"}"#);
    assert_eq!(vm.host.0, ["vsock /v", "close /v", "vsock /v"]);
    assert_eq!(vm.config().vsock.unwrap().guest_cid, 4);
}

#[test]
fn metadata_service_is_checked() {
    let mut vm = Vm::new();
    assert_eq!(
        vm.fault("PUT", "/mmds/config", r#"{"network_interfaces":[]}"#),
        "MMDS config error: The list of network interface IDs that allow forwarding MMDS \
         requests is empty."
    );
    assert_eq!(
        vm.fault("PUT", "/mmds/config", r#"{"network_interfaces":["a"]}"#),
        "MMDS config error: The list of network interface IDs provided contains at least one ID \
         that does not correspond to any existing network interface."
    );
    vm.put("/network-interfaces/a", r#"{"iface_id":"a","host_dev_name":"tap0"}"#);
    assert_eq!(
        vm.fault(
            "PUT",
            "/mmds/config",
            r#"{"network_interfaces":["a"],"ipv4_address":"10.0.0.1"}"#
        ),
        "MMDS config error: The MMDS IPv4 address is not link local."
    );
    vm.put("/mmds/config", r#"{"network_interfaces":["a"],"version":"V2"}"#);
    let config = vm.config().mmds_config.unwrap();
    assert_eq!(config.ipv4_address.unwrap().to_string(), "169.254.169.254");
}

#[test]
fn log_that_cannot_be_opened_is_refused() {
    assert_eq!(
        Vm::new().fault("PUT", "/logger", r#"{"log_path":"missing"}"#),
        "Logger error: Failed to open target file: No such file or directory (os error 2)"
    );
}

#[test]
fn serial_output_is_opened_once_and_the_old_one_closed() {
    let mut vm = Vm::new();
    vm.put("/serial", r#"{"serial_out_path":"/s"}"#);
    vm.put("/serial", r#"{"serial_out_path":"/s","rate_limiter":{"size":1,"refill_time":1}}"#);
    assert_eq!(vm.host.0, [r#"stream File { path: "/s", limit: None }"#, "close Stdio"]);
}
