//! The OpenAPI document of the engine's own paths, made of the types and the table of operations,
//! and compared with the one that is checked in and served.
//!
//! `UPDATE_OPENAPI=1 cargo test -p engine openapi` writes it anew.

mod operations;
#[path = "../../../../api/src/vm/openapi/scaffold.rs"]
mod scaffold;

use serde_json::{Value, json};
use utoipa::OpenApi;

use self::operations::{Answer, OPERATIONS, Operation};
use self::scaffold::reference;
use super::tests::Served;
use crate::container::pods;
use crate::vm::document as vm;

#[derive(OpenApi)]
#[openapi(components(schemas(pods::Pod, pods::PodCreate, vm::Made, vm::Vm, vm::VmCreate,)))]
struct Schemas;

const TITLE: &str = "Bulkhead engine API";
const DESCRIPTION: &str = "What the engine's socket offers beside Docker's API: pods, and \
                           machines as such. HTTP/1.1 on a unix socket; bodies are JSON.";

fn document() -> Value {
    let mut schemas = serde_json::to_value(Schemas::openapi().components).unwrap();
    schemas["schemas"]["Error"] = json!({
        "type": "object",
        "required": ["message"],
        "properties": { "message": { "type": "string", "description": "What is wrong." } },
    });
    let operations = OPERATIONS.iter().map(|one| (one.method, one.path, describe(one)));
    scaffold::document((TITLE, DESCRIPTION), schemas, operations)
}

fn describe(operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    if operation.path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true,
            "description": "Its id, its name, or the beginning of its id.",
            "schema": { "type": "string" },
        }));
    }
    for (name, kind, description) in operation.query {
        parameters.push(json!({
            "name": name, "in": "query", "required": false, "description": description,
            "schema": { "type": kind },
        }));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses(operation),
    });
    if !parameters.is_empty() {
        described["parameters"] = json!(parameters);
    }
    if let Some(name) = operation.body {
        let content = json!({ "application/json": { "schema": reference(name) } });
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described
}

fn responses(operation: &Operation) -> Value {
    let answer = |media: &str, schema: Value| json!({ "description": "The answer.", "content": { media: { "schema": schema } } });
    let (status, good) = match operation.answer {
        Answer::None => ("204", json!({ "description": "Done." })),
        Answer::Made(name) => ("201", answer("application/json", reference(name))),
        Answer::Json(name) => ("200", answer("application/json", reference(name))),
        Answer::List(name) => {
            let list = json!({ "type": "array", "items": reference(name) });
            ("200", answer("application/json", list))
        }
        Answer::Any => ("200", answer("application/json", json!({}))),
        Answer::Text => ("200", answer("text/plain", json!({ "type": "string" }))),
    };
    let content = json!({ "application/json": { "schema": reference("Error") } });
    let mut responses = json!({ status: good });
    responses["default"] =
        json!({ "description": "It was refused, or failed.", "content": content });
    responses
}

#[test]
fn document_that_is_checked_in_is_that_of_the_types() {
    scaffold::assert_checked_in(&document(), "openapi/engine.json");
}

#[test]
fn every_reference_has_its_schema() {
    scaffold::assert_whole(&document());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_document_is_routed() {
    let served = Served::start().await;
    for operation in OPERATIONS {
        let path = operation.path.replace("{id}", "nothing");
        let (status, answer) = served.call(operation.method, &path, "").await;
        // Something is missing or wrong, but not the path.
        assert!(!answer.contains("page not found"), "{} {path}: {status}", operation.method);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn document_is_served() {
    let served = Served::start().await;
    let (status, answer) = served.call("GET", "/vms/openapi.json", "").await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), document());
}
