//! The OpenAPI document of the engine's own paths, made of the types and the table of operations,
//! and compared with the one that is checked in and served.
//!
//! `UPDATE_OPENAPI=1 cargo test -p engine openapi` writes it anew.

mod operations;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use self::operations::{Answer, OPERATIONS, Operation};
use super::tests::Served;
use crate::container::pods;
use crate::vm::document as vm;

#[derive(OpenApi)]
#[openapi(components(schemas(pods::Pod, pods::PodCreate, vm::Made, vm::Vm, vm::VmCreate,)))]
struct Schemas;

fn document() -> Value {
    let mut schemas = serde_json::to_value(Schemas::openapi().components).unwrap();
    bound_integers(&mut schemas);
    schemas["schemas"]["Error"] = json!({
        "type": "object",
        "required": ["message"],
        "properties": { "message": { "type": "string", "description": "What is wrong." } },
    });
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_lowercase()] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bulkhead engine API",
            "description": "What the engine's socket offers beside Docker's API: pods, and machines as such. \
                            HTTP/1.1 on a unix socket; bodies are JSON.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://localhost" }],
        "paths": paths,
        "components": schemas,
    })
}

/// Names the formats of integers as OpenAPI's registry does, with the bounds of their types.
fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(bound_integers),
        Value::Object(fields) => {
            let (format, maximum) = match fields.get("format").and_then(Value::as_str) {
                Some("u-int8") => ("uint8", u64::from(u8::MAX)),
                Some("u-int32") => ("uint32", u64::from(u32::MAX)),
                Some("u-int64") => ("uint64", u64::MAX),
                _ => return fields.values_mut().for_each(bound_integers),
            };
            fields.insert("format".into(), json!(format));
            fields.insert("minimum".into(), json!(0));
            fields.insert("maximum".into(), json!(maximum));
        }
        _ => {}
    }
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

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn checked_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/engine.json")
}

#[test]
fn document_that_is_checked_in_is_that_of_the_types() {
    let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(checked_in(), &text).unwrap();
    }
    let found = std::fs::read_to_string(checked_in()).unwrap();
    assert!(
        found == text,
        "engine/openapi/engine.json is not what the types say: \
         UPDATE_OPENAPI=1 cargo test -p engine openapi"
    );
}

#[test]
fn every_reference_has_its_schema() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
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
