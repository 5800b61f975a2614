//! What `bulkhead commit` asks the engine for.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use answers::{Engine, text};

/// Whether the container stands still, by what the engine is asked for.
fn pauses(flags: &[&str]) -> bool {
    let engine = Engine::answering(|_| (201, r#"{"Id":"sha256:0"}"#.to_owned())).unwrap();
    let output = engine.bulkhead(&[&["commit"], flags, &["web", "copy:1"]].concat()).unwrap();
    assert!(output.status.success(), "{flags:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "sha256:0\n");
    let asked = engine.asked();
    assert!(asked[0].line.contains("repo=copy&tag=1"), "{asked:?}");
    asked[0].line.contains("pause=1")
}

#[test]
fn container_stands_still_unless_that_is_not_wanted() {
    assert!(pauses(&[]));
    assert!(pauses(&["-p"]));
    assert!(pauses(&["--pause=true"]));
    assert!(!pauses(&["--pause=false"]));
    assert!(!pauses(&["-p=0"]));
    assert!(!pauses(&["--no-pause"]));
}
