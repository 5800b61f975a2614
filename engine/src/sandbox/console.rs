//! What a machine's console has said, for when it ends unexpectedly.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use launch::Folder;
use vm_spec::StreamSpec;

/// The most that the file takes of the host's disk, in bytes.
const LIMIT: u64 = 1 << 20;

/// How many of its last lines are shown.
const LINES: usize = 12;

/// How much of the file they are sought in, in bytes.
const TAIL: u64 = 8 << 10;

/// Where the console of the machine in this folder goes.
#[must_use]
pub fn file(folder: &Folder) -> PathBuf {
    folder.path().join("console.log")
}

/// The stream of the console of the machine in this folder: its last part stays in a file.
#[must_use]
pub fn stream(folder: &Folder) -> StreamSpec {
    StreamSpec::File { path: file(folder), limit: Some(LIMIT) }
}

/// The console's last lines, each after a line break; empty if it said nothing. Nothing in it moves
/// a terminal's cursor: it is the guest that wrote it.
pub(super) fn last_lines(folder: &Folder) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(file(folder)) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        // What cannot be read is not there to be shown.
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL)));
        let _ = file.take(TAIL).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let clean: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let lines: Vec<&str> = clean.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    last.iter().map(|line| format!("\n{line}")).collect()
}
