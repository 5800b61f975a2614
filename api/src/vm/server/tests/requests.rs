//! Requests and refusals over the socket.

use super::*;
use crate::vm::client::ClientError;
use crate::vm::wire::{Drive, MachineConfigurationUpdate, NetworkInterface};

fn fault(result: Result<impl std::fmt::Debug, ClientError>) -> (u16, String) {
    match result.unwrap_err() {
        ClientError::Fault { status, message } => (status, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn request_of_the_client_reaches_the_monitor_as_it_was() {
    let server = TestServer::start();
    let drive = Drive {
        drive_id: "d".into(),
        is_root_device: true,
        path_on_host: Some("/d".into()),
        ..Drive::default()
    };
    let interface = NetworkInterface {
        iface_id: "n".into(),
        host_dev_name: "tap0".into(),
        guest_mac: Some("06:00:00:00:00:01".parse().unwrap()),
        ..NetworkInterface::default()
    };
    let update = MachineConfigurationUpdate { vcpu_count: Some(2), ..Default::default() };
    let client = server.client();
    client.put_drive(&drive).unwrap();
    client.put_network_interface(&interface).unwrap();
    client.patch_machine_config(&update).unwrap();
    client.start().unwrap();
    client.pause().unwrap();
    client.stop().unwrap();
    assert_eq!(
        *server.recorder.requests(),
        [
            VmRequest::PutDrive(drive),
            VmRequest::PutNetworkInterface(interface),
            VmRequest::UpdateMachineConfig(update),
            VmRequest::Action(crate::vm::wire::ActionType::InstanceStart),
            VmRequest::Pause,
            VmRequest::Stop,
        ]
    );
}

#[test]
fn refusal_of_the_monitor_is_400_with_its_reason() {
    let server = TestServer::start();
    let message = "The requested operation is not supported before starting the microVM.";
    assert_eq!(fault(server.client().balloon()), (400, message.into()));
}

#[test]
fn too_much_metadata_is_413() {
    let server = TestServer::start();
    assert_eq!(fault(server.client().put_mmds(&serde_json::json!({}))).0, 413);
}

#[test]
fn no_metadata_is_an_empty_object() {
    let server = TestServer::start();
    assert_eq!(server.client().mmds().unwrap(), serde_json::json!({}));
}

#[test]
fn request_that_makes_no_sense_does_not_reach_the_monitor() {
    let server = TestServer::start();
    let reply = server.client().send("PUT", "/drives/a", b"{").unwrap();
    assert_eq!(reply.status, 400);
    let body = String::from_utf8(reply.body).unwrap();
    assert!(
        body.starts_with(r#"{"fault_message":"An error occurred when deserializing"#),
        "{body}"
    );
    assert!(server.recorder.requests().is_empty());
}

#[test]
fn deprecated_field_is_marked_in_the_answer() {
    let server = TestServer::start();
    let body = br#"{"vcpu_count":1,"mem_size_mib":64,"cpu_template":"None"}"#;
    let reply = server.client().send("PUT", "/machine-config", body).unwrap();
    assert_eq!(reply.status, 204);
    assert!(reply.fields.contains(&("deprecation".into(), "true".into())));
}

#[test]
fn metrics_are_text_and_include_the_server_s_own() {
    let server = TestServer::start();
    let client = server.client();
    client.version().unwrap();
    let reply = client.send("GET", "/bulkhead/metrics", b"").unwrap();
    let kind = ("content-type".into(), "text/plain; version=0.0.4; charset=utf-8".into());
    assert!(reply.fields.contains(&kind));
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains("\nbulkhead_api_requests_total{outcome=\"done\"} 1\n"), "{text}");
}

#[test]
fn socket_where_nobody_listens_is_named() {
    let client = ApiClient::new("/nonexistent/api.sock");
    let error = client.version().unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to /nonexistent/api.sock");
}
