//! Every path, and what is none.

use super::*;
use crate::vm::wire::ActionType;

fn request(method: &str, path: &str, body: &str) -> VmRequest {
    match route(method, path, body.as_bytes()).unwrap().target {
        Target::Vm(request) => request,
        Target::Events => panic!("not for the monitor"),
    }
}

fn fault(method: &str, path: &str, body: &str) -> String {
    route(method, path, body.as_bytes()).unwrap_err().to_string()
}

fn deprecation(method: &str, path: &str, body: &str) -> Option<&'static str> {
    route(method, path, body.as_bytes()).unwrap().deprecation
}

#[test]
fn every_get_is_routed() {
    assert_eq!(request("GET", "/", ""), VmRequest::GetInstance);
    assert_eq!(request("GET", "/version", ""), VmRequest::GetVersion);
    assert_eq!(request("GET", "/vm/config", ""), VmRequest::GetConfig);
    assert_eq!(request("GET", "/machine-config", ""), VmRequest::GetMachineConfig);
    assert_eq!(request("GET", "/mmds", ""), VmRequest::GetMmds);
    assert_eq!(request("GET", "/balloon", ""), VmRequest::GetBalloon);
    assert_eq!(request("GET", "/balloon/statistics", ""), VmRequest::GetBalloonStats);
    assert_eq!(request("GET", "/balloon/hinting/status", ""), VmRequest::GetBalloonHinting);
    assert_eq!(request("GET", "/hotplug/memory", ""), VmRequest::GetMemoryHotplug);
    assert_eq!(request("GET", "/bulkhead/metrics", ""), VmRequest::GetMetrics);
    assert_eq!(request("GET", "/bulkhead/spec", ""), VmRequest::GetSpec);
    assert_eq!(request("GET", "/bulkhead/console", ""), VmRequest::AttachConsole(None));
    let named = VmRequest::AttachConsole(Some("com-1".parse().unwrap()));
    assert_eq!(request("GET", "/bulkhead/console/com-1", ""), named);
    assert_eq!(route("GET", "/bulkhead/events", b"").unwrap().target, Target::Events);
}

#[test]
fn slash_at_the_end_changes_nothing() {
    assert_eq!(request("GET", "/balloon/", ""), VmRequest::GetBalloon);
    assert_eq!(request("GET", "/vm/config/", ""), VmRequest::GetConfig);
}

#[test]
fn actions_are_told_apart() {
    let action = |name| request("PUT", "/actions", &format!(r#"{{"action_type":"{name}"}}"#));
    assert_eq!(action("InstanceStart"), VmRequest::Action(ActionType::InstanceStart));
    assert_eq!(action("FlushMetrics"), VmRequest::Action(ActionType::FlushMetrics));
    assert_eq!(action("SendCtrlAltDel"), VmRequest::Action(ActionType::SendCtrlAltDel));
}

#[test]
fn unknown_action_is_refused_with_the_known_ones() {
    assert_eq!(
        fault("PUT", "/actions", r#"{"action_type":"Jump"}"#),
        "An error occurred when deserializing the json body of a request: unknown variant \
         `Jump`, expected one of `FlushMetrics`, `InstanceStart`, `SendCtrlAltDel` at line 1 \
         column 21, in `action_type`."
    );
}

#[test]
fn states_are_told_apart() {
    assert_eq!(request("PATCH", "/vm", r#"{"state":"Paused"}"#), VmRequest::Pause);
    assert_eq!(request("PATCH", "/vm", r#"{"state":"Resumed"}"#), VmRequest::Resume);
}

#[test]
fn put_of_machine_configuration_sets_what_is_not_given_to_its_default() {
    let VmRequest::UpdateMachineConfig(update) =
        request("PUT", "/machine-config", r#"{"vcpu_count":2,"mem_size_mib":64}"#)
    else {
        panic!("another request")
    };
    assert_eq!(update.smt, Some(false));
    assert_eq!(update.track_dirty_pages, Some(false));
}

#[test]
fn patch_of_machine_configuration_leaves_what_is_not_given() {
    let VmRequest::UpdateMachineConfig(update) =
        request("PATCH", "/machine-config", r#"{"vcpu_count":2}"#)
    else {
        panic!("another request")
    };
    assert_eq!(update, MachineConfigurationUpdate { vcpu_count: Some(2), ..Default::default() });
}

#[test]
fn patch_that_changes_nothing_is_refused() {
    assert_eq!(fault("PATCH", "/machine-config", "{}"), "Empty PATCH request.");
}

#[test]
fn drive_is_routed_with_the_same_id_in_path_and_body() {
    let drive = request("PUT", "/drives/a_1", r#"{"drive_id":"a_1","is_root_device":true}"#);
    assert!(matches!(drive, VmRequest::PutDrive(drive) if drive.is_root_device));
    let drive = request("PATCH", "/drives/a", r#"{"drive_id":"a","path_on_host":"/x"}"#);
    assert!(matches!(drive, VmRequest::PatchDrive(drive) if drive.drive_id == "a"));
    assert_eq!(request("DELETE", "/drives/a", ""), VmRequest::DeleteDrive("a".into()));
}

#[test]
fn other_id_in_the_body_is_refused() {
    assert_eq!(
        fault("PUT", "/drives/a", r#"{"drive_id":"b","is_root_device":true}"#),
        "The id from the path [a] does not match the id from the body [b]!"
    );
}

#[test]
fn missing_id_is_refused() {
    let body = r#"{"drive_id":"","is_root_device":true}"#;
    assert_eq!(fault("PUT", "/drives", body), "The ID cannot be empty.");
    assert_eq!(fault("PUT", "/drives/", body), "The ID cannot be empty.");
    assert_eq!(fault("DELETE", "/drives", ""), "The ID cannot be empty.");
}

#[test]
fn id_with_other_characters_is_refused() {
    let expected = "API Resource IDs can only contain alphanumeric characters and underscores.";
    assert_eq!(fault("DELETE", "/drives/a-b", ""), expected);
    assert_eq!(fault("DELETE", "/network-interfaces/..", ""), expected);
}

#[test]
fn id_of_65_characters_is_refused() {
    let path = format!("/drives/{}", "a".repeat(65));
    assert_eq!(fault("DELETE", &path, ""), "API Resource IDs can have at most 64 characters.");
}

#[test]
fn mac_address_that_is_none_is_refused_with_its_field() {
    let message = fault(
        "PUT",
        "/network-interfaces/a",
        r#"{"iface_id":"a","host_dev_name":"t","guest_mac":"06"}"#,
    );
    assert!(message.contains("\"06\" is no MAC address"), "{message}");
    assert!(message.ends_with(", in `guest_mac`."), "{message}");
}

#[test]
fn unknown_path_is_refused_by_its_first_part() {
    assert_eq!(fault("GET", "/nowhere", ""), "Invalid request method and/or path: GET nowhere.");
    assert_eq!(fault("GET", "/vm", ""), "Invalid request method and/or path: GET vm.");
    assert_eq!(
        fault("GET", "/hotplug/cpu", ""),
        "Invalid request method and/or path: GET hotplug."
    );
    assert_eq!(fault("PUT", "/mmds/x", "{}"), "Invalid request method and/or path: PUT mmds.");
    assert_eq!(
        fault("PUT", "/snapshot", "{}"),
        "Invalid request method and/or path: PUT snapshot."
    );
    assert_eq!(fault("GET", "/version/x", ""), "Invalid request method and/or path: GET version.");
}

#[test]
fn path_with_another_method_is_refused() {
    assert_eq!(
        fault("PATCH", "/boot-source", r#"{"kernel_image_path":"k"}"#),
        "Invalid request method and/or path: PATCH boot-source."
    );
    assert_eq!(
        fault("POST", "/actions", "{}"),
        "Invalid request method and/or path: POST actions."
    );
    assert_eq!(fault("HEAD", "/", ""), "Invalid request method and/or path: HEAD .");
    assert_eq!(
        fault("DELETE", "/boot-source", ""),
        "Invalid request method and/or path: DELETE boot-source."
    );
}

#[test]
fn body_where_none_belongs_is_refused() {
    assert_eq!(fault("GET", "/", "{}"), "GET request cannot have a body.");
    assert_eq!(fault("DELETE", "/drives/a", "{}"), "DELETE request cannot have a body.");
}

#[test]
fn missing_body_is_refused() {
    assert_eq!(fault("PUT", "/boot-source", ""), "Empty PUT request.");
    assert_eq!(fault("PATCH", "/vm", ""), "Empty PATCH request.");
    assert_eq!(fault("PATCH", "/balloon", ""), "Empty PATCH request.");
}

#[test]
fn body_that_is_no_json_is_refused() {
    assert_eq!(
        fault("PUT", "/boot-source", "{"),
        "An error occurred when deserializing the json body of a request: EOF while parsing an \
         object at line 1 column 1."
    );
}

#[test]
fn hinting_starts_with_and_without_a_body() {
    let start = |body| request("PATCH", "/balloon/hinting/start", body);
    let acknowledged = |acknowledge_on_stop| {
        VmRequest::StartBalloonHinting(BalloonStartCmd { acknowledge_on_stop })
    };
    assert_eq!(start(""), acknowledged(true));
    assert_eq!(start("{}"), acknowledged(true));
    assert_eq!(start(r#"{"acknowledge_on_stop":false}"#), acknowledged(false));
    assert_eq!(request("PATCH", "/balloon/hinting/stop", ""), VmRequest::StopBalloonHinting);
}

#[test]
fn snapshot_with_two_sources_of_memory_or_none_is_refused() {
    assert_eq!(
        fault("PUT", "/snapshot/load", r#"{"snapshot_path":"s"}"#),
        "An error occurred when deserializing the json body of a request: missing field: either \
         `mem_backend` or `mem_file_path` is required."
    );
    let both = r#"{"snapshot_path":"s","mem_file_path":"m",
                   "mem_backend":{"backend_type":"File","backend_path":"m"}}"#;
    assert!(fault("PUT", "/snapshot/load", both).contains("too many fields"));
}

#[test]
fn deprecated_fields_are_pointed_out() {
    let machine = r#"{"vcpu_count":1,"mem_size_mib":64,"cpu_template":"None"}"#;
    assert!(deprecation("PUT", "/machine-config", machine).is_some());
    assert!(deprecation("PATCH", "/machine-config", r#"{"cpu_template":"T2"}"#).is_some());
    let vsock = r#"{"vsock_id":"v","guest_cid":3,"uds_path":"v"}"#;
    assert!(deprecation("PUT", "/vsock", vsock).is_some());
    assert!(deprecation("PUT", "/mmds/config", r#"{"network_interfaces":["a"]}"#).is_some());
    let load = r#"{"snapshot_path":"s","mem_file_path":"m"}"#;
    assert!(deprecation("PUT", "/snapshot/load", load).is_some());
    assert_eq!(deprecation("PUT", "/vsock", r#"{"guest_cid":3,"uds_path":"v"}"#), None);
}

#[test]
fn metadata_is_any_json() {
    assert_eq!(request("PUT", "/mmds", "[1]"), VmRequest::PutMmds(serde_json::json!([1])));
    assert_eq!(request("PATCH", "/mmds", "{}"), VmRequest::PatchMmds(serde_json::json!({})));
}

#[test]
fn actions_beyond_firecracker_are_told_apart() {
    let action =
        |name| request("PUT", "/bulkhead/actions", &format!(r#"{{"action_type":"{name}"}}"#));
    assert_eq!(action("PowerButton"), VmRequest::PowerButton);
    assert_eq!(action("Stop"), VmRequest::Stop);
}

#[test]
fn link_of_an_interface_is_named_by_its_path() {
    let path = "/bulkhead/link/eth0";
    let link = crate::vm::wire::NetworkLink { up: false };
    let wanted = VmRequest::SetLink { iface_id: "eth0".into(), link };
    assert_eq!(request("PATCH", path, r#"{"up":false}"#), wanted);
    assert!(fault("PATCH", path, r#"{"down":true}"#).contains("down"));
    assert!(fault("PATCH", "/bulkhead/links/eth0", "{}").contains("Invalid request"));
}

mod any_request {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes in, it is routed or refused, and a fault names no more than what came.
        #[test]
        fn ends_in_a_request_or_a_fault(
            method in prop_oneof!["GET", "PUT", "PATCH", "DELETE", "[A-Z]{1,8}"],
            path in "(/[a-z-]{0,12}){0,4}",
            body in "\\PC{0,80}",
        ) {
            if let Err(fault) = route(&method, &path, body.as_bytes()) {
                prop_assert!(!fault.to_string().is_empty());
            }
        }
    }
}
