//! Ending the machines that belong to nothing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use launch::{Folder, Process, Record};

use super::{SandboxError, Sandboxes};

/// How long the system may take to end a killed monitor.
const PATIENCE: Duration = Duration::from_secs(3);

impl Sandboxes {
    /// Ends all machines but those of these ids, and removes their folders. To be called when the
    /// engine starts, before it starts machines of its own. Gives the names of the folders.
    pub async fn end_others<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, SandboxError> {
        let keep: HashSet<OsString> = ids
            .into_iter()
            .filter_map(|id| self.paths.machine(id).file_name().map(OsString::from))
            .collect();
        let root = self.paths.machines();
        let ending = tokio::task::spawn_blocking(move || end_others(&root, &keep));
        let failed = |source| SandboxError::Folder { path: self.paths.machines(), source };
        ending.await.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(failed)
    }

    /// Ends the machine of this id, if there is one, and removes its folder. Doing so twice is
    /// fine.
    pub async fn end(&self, id: &str) -> Result<(), SandboxError> {
        let folder = self.folder(id);
        let ending = tokio::task::spawn_blocking(move || end(&folder));
        let failed = |source| SandboxError::Folder { path: self.paths.machine(id), source };
        ending.await.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(failed)
    }
}

fn end_others(root: &Path, keep: &HashSet<OsString>) -> io::Result<Vec<String>> {
    let mut ended = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if keep.contains(&entry.file_name()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        end(&Folder::new(name.clone(), entry.path()))?;
        ended.push(name);
    }
    Ok(ended)
}

fn end(folder: &Folder) -> io::Result<()> {
    // One that is not on record has not begun.
    if let Ok(Record { monitor: Some(monitor), .. }) = folder.record()
        && let Some(process) = Process::of(monitor)?
    {
        process.kill();
        if !process.wait(PATIENCE)? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "a killed monitor is still there"));
        }
    }
    match fs::remove_dir_all(folder.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
