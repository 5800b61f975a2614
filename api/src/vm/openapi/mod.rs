//! The OpenAPI document: made of the wire types and the table of operations, and compared with the
//! one that is checked in.
//!
//! `UPDATE_OPENAPI=1 cargo test -p api openapi` writes it anew.

mod operations;
mod scaffold;

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::wire;
use crate::vm::{BadRequest, Event, route};
use operations::{Answer, Body, OPERATIONS, Operation};
use scaffold::reference;

#[derive(OpenApi)]
#[openapi(components(schemas(
    wire::Action,
    wire::Balloon,
    wire::BalloonHintingStatus,
    wire::BalloonStartCmd,
    wire::BalloonStats,
    wire::BalloonStatsUpdate,
    wire::BalloonUpdate,
    wire::BootSource,
    wire::BulkheadAction,
    wire::CpuConfig,
    wire::Drive,
    wire::EntropyDevice,
    wire::Error,
    wire::FullVmConfiguration,
    wire::InstanceInfo,
    wire::Logger,
    wire::MachineConfiguration,
    wire::MachineConfigurationUpdate,
    wire::MemoryHotplugConfig,
    wire::MemoryHotplugSizeUpdate,
    wire::MemoryHotplugStatus,
    wire::Metrics,
    wire::MmdsConfig,
    wire::NetworkInterface,
    wire::NetworkLink,
    wire::PartialDrive,
    wire::PartialNetworkInterface,
    wire::PartialPmem,
    wire::Pmem,
    wire::SerialDevice,
    wire::SnapshotCreateParams,
    wire::SnapshotLoadParams,
    wire::Vm,
    wire::VmmVersion,
    wire::Vsock,
    Event,
)))]
struct Schemas;

const TITLE: &str = "Bulkhead VM API";
const DESCRIPTION: &str = "The socket of one virtual machine: Firecracker's API, and what goes \
                           beyond it under /bulkhead. HTTP/1.1 on a unix socket; bodies are \
                           JSON. A refused request is answered with 400 and a fault_message.";

/// The document.
fn document() -> Value {
    let schemas = serde_json::to_value(Schemas::openapi().components).unwrap();
    let operations = OPERATIONS.iter().map(|one| (one.method, one.path, describe(one)));
    scaffold::document((TITLE, DESCRIPTION), schemas, operations)
}

fn describe(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses(operation),
    });
    if let Some((_, rest)) = operation.path.split_once('{') {
        let name = rest.trim_end_matches('}');
        described["parameters"] = json!([{
            "name": name, "in": "path", "required": true,
            "description": "Its id.",
            "schema": { "type": "string", "pattern": "^[A-Za-z0-9_]{1,64}$" },
        }]);
    }
    let (schema, required) = match operation.body {
        Body::None => return described,
        Body::Required(name) => (reference(name), true),
        Body::Optional(name) => (reference(name), false),
        Body::Any => (json!({}), true),
        Body::Object => (json!({ "type": "object" }), true),
    };
    described["requestBody"] =
        json!({ "required": required, "content": { "application/json": { "schema": schema } } });
    described
}

fn responses(operation: &Operation) -> Value {
    let content = |media: &str, schema: Value| json!({ media: { "schema": schema } });
    let fault = |description: &str| {
        let content = content("application/json", reference("Error"));
        json!({ "description": description, "content": content })
    };
    let (status, good) = match operation.answer {
        Answer::None => ("204", json!({ "description": "Done." })),
        Answer::Json(name) => {
            let content = content("application/json", reference(name));
            ("200", json!({ "description": "The answer.", "content": content }))
        }
        Answer::Any => {
            let content = content("application/json", json!({}));
            ("200", json!({ "description": "The answer.", "content": content }))
        }
        Answer::Metrics => {
            let content = content("text/plain", json!({ "type": "string" }));
            (
                "200",
                json!({ "description": "Metrics as Prometheus reads them.", "content": content }),
            )
        }
        Answer::Events => {
            let content = content("text/event-stream", reference("Event"));
            let description = "Server-sent events; the data of each is an Event.";
            ("200", json!({ "description": description, "content": content }))
        }
        Answer::Upgrade => {
            ("101", json!({ "description": "The connection is the console from here on." }))
        }
    };
    let mut responses = json!({ status: good, "400": fault("The request was refused.") });
    if !matches!(operation.body, Body::None) {
        responses["413"] = fault("The body, or what it adds to, is too large.");
    }
    if matches!(operation.answer, Answer::Upgrade) {
        responses["426"] = fault("The request does not ask for an upgrade.");
    }
    responses
}

#[test]
fn document_that_is_checked_in_is_that_of_the_types() {
    scaffold::assert_checked_in(&document(), "openapi/vm.json");
}

#[test]
fn every_operation_of_the_document_is_routed() {
    for operation in OPERATIONS {
        let (path, _) = operation.path.split_once('{').unwrap_or((operation.path, ""));
        let path = if path == operation.path { path.to_owned() } else { format!("{path}a") };
        let body = if matches!(operation.body, Body::None) { "" } else { "{}" };
        // Whatever is wrong with the body, method and path are known.
        if let Err(fault @ BadRequest::MethodOrPath { .. }) =
            route(operation.method, &path, body.as_bytes())
        {
            panic!("{} {}: {fault}", operation.method, operation.path);
        }
    }
}

#[test]
fn every_reference_has_its_schema() {
    scaffold::assert_whole(&document());
}

#[test]
fn unknown_fields_and_bounds_are_in_the_document() {
    let document = document();
    let machine = &document["components"]["schemas"]["MachineConfiguration"];
    assert_eq!(machine["additionalProperties"], json!(false));
    assert_eq!(machine["required"], json!(["vcpu_count", "mem_size_mib"]));
    assert_eq!(machine["properties"]["vcpu_count"]["maximum"], json!(254));
    let balloon = &document["components"]["schemas"]["Balloon"]["properties"];
    assert_eq!(balloon["amount_mib"]["maximum"], json!(u32::MAX));
    assert_eq!(balloon["stats_polling_interval_s"]["minimum"], json!(0));
}
