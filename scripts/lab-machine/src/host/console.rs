//! The lab's console, kept in a file, shown when something went wrong.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes of the console that are shown.
const TAIL: u64 = 4096;

/// Prints the end of the console at `path` to standard error.
pub fn show(path: &Path) {
    let mut stderr = std::io::stderr().lock();
    let Ok(text) = tail(path) else { return };
    let _ = writeln!(stderr, "lab: the end of its console:");
    for line in String::from_utf8_lossy(&text).lines() {
        let _ = writeln!(stderr, "  | {}", line.trim_end());
    }
}

fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut text = Vec::new();
    file.take(TAIL).read_to_end(&mut text)?;
    Ok(text)
}
