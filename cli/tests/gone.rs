//! Containers that go away while a command is at them.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use answers::{Asked, Engine, text};

fn answer(asked: &Asked) -> (u16, String) {
    let line = asked.line.as_str();
    if line.contains("/gone/") {
        return (404, r#"{"message":"No such container: gone"}"#.to_owned());
    }
    if line.contains("/containers/json") {
        return (200, r#"[{"Id":"gone"},{"Id":"web"}]"#.to_owned());
    }
    if line.contains("/wait") {
        return (200, r#"{"StatusCode":3}"#.to_owned());
    }
    (200, r#"{"id":"web","name":"/web"}"#.to_owned())
}

#[test]
fn wait_goes_on_after_a_container_that_is_not_there() {
    let engine = Engine::answering(answer).unwrap();
    let output = engine.bulkhead(&["wait", "gone", "web"]).unwrap();
    assert_eq!(text(&output.stdout), "3\n");
    assert!(text(&output.stderr).contains("No such container: gone"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn stats_of_all_go_on_without_one_that_was_removed() {
    let engine = Engine::answering(answer).unwrap();
    let output = engine.bulkhead(&["stats", "--no-stream", "--format", "{{.Name}}"]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "web\n");
}

#[test]
fn stats_of_a_name_that_is_not_there_fail() {
    let engine = Engine::answering(answer).unwrap();
    let output = engine.bulkhead(&["stats", "--no-stream", "gone"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
}
