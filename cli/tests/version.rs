//! `bulkhead version`, as Docker's users ask for it.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use answers::{Asked, Engine, text};

fn answer(_: &Asked) -> (u16, String) {
    let server = r#"{"Platform":{"Name":"Bulkhead"},"Version":"9.8","ApiVersion":"1.53",
        "MinAPIVersion":"1.24","Os":"linux","Arch":"amd64","KernelVersion":"6.1"}"#;
    (200, server.to_owned())
}

fn version(arguments: &[&str]) -> String {
    let engine = Engine::answering(answer).unwrap();
    let output = engine.bulkhead(&[&["version"], arguments].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn templates_find_client_and_server() {
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(version(&["-f", "{{.Server.Version}}"]), "9.8\n");
    assert_eq!(version(&["--format", "{{.Client.Version}}"]), format!("{own}\n"));
    let json = version(&["-f", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["Server"]["ApiVersion"], &json["Client"]["Version"]),
        (&"1.53".into(), &own.into())
    );
}

#[test]
fn both_are_shown_below_each_other() {
    let shown = version(&[]);
    assert!(shown.starts_with("Client:\n Version:          "), "{shown}");
    assert!(shown.contains("\n\nServer: Bulkhead\n Engine:\n  Version:          9.8\n"), "{shown}");
    assert!(shown.contains("  API version:      1.53 (minimum version 1.24)\n"), "{shown}");
}

#[test]
fn client_is_shown_where_no_engine_answers() {
    let engine = Engine::answering(|_| (500, r#"{"message":"not now"}"#.to_owned())).unwrap();
    let output = engine.bulkhead(&["version"]).unwrap();
    assert!(text(&output.stdout).contains(env!("CARGO_PKG_VERSION")));
    assert!(text(&output.stderr).contains("not now"));
    assert_eq!(output.status.code(), Some(1));
}
