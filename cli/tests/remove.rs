//! `rm -f` and `rmi -f` of what is not there.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use answers::{Asked, Engine, text};

fn only_web_is_there(asked: &Asked) -> (u16, String) {
    match asked.line.split(['/', '?']).nth(2) {
        Some("web") if asked.line.contains("/images/") => {
            (200, r#"[{"Untagged":"web:latest"}]"#.to_owned())
        }
        Some("web") => (204, String::new()),
        Some("used") => (409, r#"{"message":"used is in use"}"#.to_owned()),
        _ => (404, r#"{"message":"no such thing"}"#.to_owned()),
    }
}

#[test]
fn forced_removal_of_what_is_not_there_is_said_and_is_no_failure() {
    let engine = Engine::answering(only_web_is_there).unwrap();
    for verb in [["rm", "-f"], ["rmi", "-f"]] {
        let output = engine.bulkhead(&[verb[0], verb[1], "gone", "web"]).unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb:?}");
        assert!(text(&output.stderr).contains("no such thing"), "{verb:?}");
        assert!(text(&output.stdout).contains("web"), "{verb:?}");
    }
}

#[test]
fn removal_of_what_is_not_there_fails_unless_forced() {
    let engine = Engine::answering(only_web_is_there).unwrap();
    for verb in ["rm", "rmi"] {
        let output = engine.bulkhead(&[verb, "gone"]).unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb}");
    }
}

#[test]
fn forced_removal_still_fails_for_other_reasons() {
    let engine = Engine::answering(only_web_is_there).unwrap();
    for verb in [["rm", "-f"], ["rmi", "-f"]] {
        let output = engine.bulkhead(&[verb[0], verb[1], "used", "gone"]).unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
    }
}
