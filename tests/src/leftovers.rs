//! What programs leave behind: processes, descriptors, files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The processes that were started with this path in an argument: monitors and switches of an
/// engine, by its folder. Those that have ended and wait to be reaped have no arguments.
///
/// # Errors
///
/// There is no `/proc`.
pub fn processes_of(folder: &Path) -> anyhow::Result<Vec<String>> {
    let folder = folder.to_str().context("the path is no text")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        // Those that end meanwhile are gone.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let number = entry.file_name().to_string_lossy().into_owned();
        if number.bytes().all(|byte| byte.is_ascii_digit()) && line.contains(folder) {
            found.push(format!("{number} {line}"));
        }
    }
    Ok(found)
}

/// What the descriptors of a process lead to.
///
/// # Errors
///
/// There is no such process.
pub fn descriptors_of(pid: i32) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    // Those that are closed meanwhile are gone.
    Ok(entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect())
}

/// All files and folders below a folder.
///
/// # Errors
///
/// It cannot be read.
pub fn files_below(folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        let entries = fs::read_dir(&next).with_context(|| format!("read {}", next.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    Ok(found)
}
