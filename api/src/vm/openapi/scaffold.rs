//! What the OpenAPI documents of the monitor and of the engine have in common. The engine's tests
//! include this file too.

use std::path::Path;

use serde_json::{Map, Value, json};

/// A document of these schemas and operations: method, path, and what it does.
pub(super) fn document(
    (title, description): (&str, &str),
    mut schemas: Value,
    operations: impl Iterator<Item = (&'static str, &'static str, Value)>,
) -> Value {
    bound_integers(&mut schemas);
    let mut paths = Map::new();
    for (method, path, described) in operations {
        let path = paths.entry(path).or_insert_with(|| json!({}));
        path[method.to_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "description": description,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://localhost" }],
        "paths": paths,
        "components": schemas,
    })
}

/// Adds the bounds that follow from the type of an integer, where it has no narrower ones.
fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(bound_integers),
        Value::Object(fields) => {
            let (format, maximum) = match fields.get("format").and_then(Value::as_str) {
                Some("u-int8") => ("uint8", u64::from(u8::MAX)),
                Some("u-int16") => ("uint16", u64::from(u16::MAX)),
                Some("u-int32") => ("uint32", u64::from(u32::MAX)),
                Some("u-int64") => ("uint64", u64::MAX),
                _ => return fields.values_mut().for_each(bound_integers),
            };
            // The name by the format registry of OpenAPI.
            fields.insert("format".into(), json!(format));
            fields.entry("minimum").or_insert(json!(0));
            fields.entry("maximum").or_insert(json!(maximum));
        }
        _ => {}
    }
}

/// A schema of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// That `file` of this package is the document, which it is made where that is asked for.
pub(super) fn assert_checked_in(document: &Value, file: &str) {
    let package = env!("CARGO_PKG_NAME");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = format!("{}\n", serde_json::to_string_pretty(document).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == text,
        "{package}/{file} is not what the types say: \
         UPDATE_OPENAPI=1 cargo test -p {package} openapi"
    );
}

/// That all schemas that are referred to are there.
pub(super) fn assert_whole(document: &Value) {
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
