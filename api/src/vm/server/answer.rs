//! From what the monitor says to an answer.

use serde::Serialize;
use serde_json::{Value, json};

use super::counters::Counters;
use crate::http::{Body, HttpFault, Response, Status};
use crate::metrics::prometheus;
use crate::vm::wire::VmmVersion;
use crate::vm::{BadRequest, FaultStatus, VmFault, VmResponse};

const JSON: &str = "application/json";

/// The answer to a request that was carried out. A console has none: it is not an answer but
/// another protocol.
pub(super) fn of_response(response: VmResponse, counters: &Counters) -> Response {
    match response {
        VmResponse::Empty | VmResponse::Console(_) => Response::empty(Status::NoContent),
        VmResponse::Instance(info) => json_body(&info),
        VmResponse::Version(firecracker_version) => json_body(&VmmVersion { firecracker_version }),
        VmResponse::Config(config) => json_body(&config),
        VmResponse::MachineConfig(config) => json_body(&config),
        VmResponse::Balloon(balloon) => json_body(&balloon),
        VmResponse::BalloonStats(stats) => json_body(&stats),
        VmResponse::BalloonHinting(status) => json_body(&status),
        VmResponse::MemoryHotplug(status) => json_body(&status),
        VmResponse::Mmds(Value::Null) => json_body(&json!({})),
        VmResponse::Mmds(document) => json_body(&document),
        VmResponse::Spec(spec) => json_body(&spec),
        VmResponse::Metrics(mut families) => {
            families.extend(counters.families());
            let text = prometheus::render(&families);
            Response::whole(Status::Ok, prometheus::CONTENT_TYPE, text.into_bytes())
        }
    }
}

/// The answer to a request that was refused by the monitor.
pub(super) fn of_fault(fault: &VmFault) -> Response {
    let status = match fault.status() {
        FaultStatus::BadRequest => Status::BadRequest,
        FaultStatus::PayloadTooLarge => Status::PayloadTooLarge,
    };
    fault_body(status, &fault.to_string())
}

/// The answer to a request that makes no sense.
pub(super) fn of_bad_request(fault: &BadRequest) -> Response {
    fault_body(Status::BadRequest, &fault.to_string())
}

/// The answer to what is no request.
pub(super) fn of_http_fault(fault: &HttpFault) -> Response {
    fault_body(fault.status(), &fault.to_string())
}

/// The answer to a request for a console in a protocol that has none.
pub(super) fn upgrade_required(protocol: &'static str) -> Response {
    let message = format!("The console needs `Connection: Upgrade` and `Upgrade: {protocol}`.");
    let response = fault_body(Status::UpgradeRequired, &message);
    Response { upgrade: Some(protocol), ..response }
}

fn fault_body(status: Status, message: &str) -> Response {
    Response { status, ..json_body(&json!({ "fault_message": message })) }
}

fn json_body<T: Serialize>(value: &T) -> Response {
    // Every key is a string and no value fails to serialize.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Response { body: Body::Whole(bytes), ..Response::whole(Status::Ok, JSON, Vec::new()) }
}
