//! What a machine has on the host while it runs, and leaves when it has ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Life, ProcessId, Record};

/// The folder of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    name: String,
    path: PathBuf,
}

/// Why a machine's record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a machine's record", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Folder {
    /// The folder at `path`, whether it is there or not. The name is the machine's: letters, digits
    /// and dashes, at most 64.
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), path: path.into() }
    }

    /// The machine's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The monitor's REST socket.
    #[must_use]
    pub fn api_socket(&self) -> PathBuf {
        self.path.join("api.sock")
    }

    /// The vsock device's socket.
    #[must_use]
    pub fn vsock_socket(&self) -> PathBuf {
        self.path.join("vsock.sock")
    }

    /// The document of the machine.
    #[must_use]
    pub fn spec_file(&self) -> PathBuf {
        self.path.join("spec.json")
    }

    /// What the monitor logs.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.path.join("monitor.log")
    }

    /// What the monitor records of what happens.
    #[must_use]
    pub fn events_file(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    fn record_file(&self) -> PathBuf {
        self.path.join("record.json")
    }

    /// Which processes the machine belongs to.
    pub fn record(&self) -> Result<Record, FolderError> {
        let path = self.record_file();
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|source| FolderError::Malformed { path, source }),
            Err(source) => Err(FolderError::Read { path, source }),
        }
    }

    /// Replaces the record at once: others read it at any time.
    pub fn write(&self, record: &Record) -> Result<(), FolderError> {
        let (path, new) = (self.record_file(), self.path.join("record.new"));
        serde_json::to_string(record)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|source| FolderError::Write { path, source })
    }

    /// Writes down which process runs the machine.
    pub fn set_monitor(&self, monitor: ProcessId) -> Result<(), FolderError> {
        self.write(&Record { monitor: Some(monitor), ..self.record()? })
    }

    /// Whether the machine runs. A folder without a record is stale: each gets one before others
    /// see it.
    #[must_use]
    pub fn life(&self) -> Life {
        self.record().map_or(Life::Stale, |record| record.life())
    }

    /// Removes the folder and what is in it.
    pub fn remove(&self) {
        // What is left behind is stale, and whoever meets it tries again.
        let _ = fs::remove_dir_all(&self.path);
    }
}
