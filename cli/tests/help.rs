//! Help, completions and manual pages of every command.

use std::process::Command;

const COMMANDS: [&[&str]; 15] = [
    &["vm"],
    &["vm", "run"],
    &["vm", "ls"],
    &["vm", "exec"],
    &["vm", "console"],
    &["vm", "inspect"],
    &["vm", "events"],
    &["vm", "metrics"],
    &["vm", "pause"],
    &["vm", "resume"],
    &["vm", "stop"],
    &["vm", "kill"],
    &["doctor"],
    &["completions"],
    &["man"],
];

fn bulkhead(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_bulkhead")).args(arguments).output().expect("bulkhead");
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn help_of_every_command_has_an_example() {
    let without: Vec<_> = COMMANDS
        .iter()
        .filter(|command| {
            let help = bulkhead(&[command, &["--help"][..]].concat());
            !help.contains("Example")
                || !help.contains("\n  bulkhead") && !help.contains("    bulkhead")
        })
        .collect();
    assert!(without.is_empty(), "no example in the help of {without:?}");
}

#[test]
fn completions_for_every_shell_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bulkhead(&["completions", shell]);
        let knows = |word| script.contains(word);
        assert!(knows("inspect") && knows("boot-timeout"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().expect("folder");
    bulkhead(&["man", folder.path().to_str().expect("path")]);
    let missing: Vec<_> = COMMANDS
        .iter()
        .map(|command| format!("bulkhead-{}.1", command.join("-")))
        .filter(|page| !folder.path().join(page).exists())
        .collect();
    assert!(missing.is_empty(), "no {missing:?}");
}

#[test]
fn examples_and_notes_fit_eighty_columns() {
    for command in [&["run"][..], &["exec"], &["cp"], &["pod"]] {
        let help = bulkhead(&[command, &["--help"]].concat());
        let notes = help.split_once("Print help").map_or("", |(_, notes)| notes);
        assert!(notes.contains("Examples:"), "{command:?}");
        let wide: Vec<_> = notes.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{command:?}: {wide:#?}");
    }
}
