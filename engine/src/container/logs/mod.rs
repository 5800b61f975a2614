//! A container's output on disk: lines in JSON as Docker's `json-file` driver writes them, in
//! files that are rotated, so that the whole is bounded.
//!
//! ```text
//!   ID-json.log ── newest;  ID-json.log.1 … ID-json.log.N ── older
//!   {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}
//! ```
//!
//! A log that cannot be written (the disk is full) loses lines, and says so in the engine's log;
//! the container goes on. Those who follow are woken by what is written, not by a clock.

mod line;
mod position;
mod reader;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use self::line::{Entry, Source};
pub use self::reader::{Reader, Selection};
use self::writer::Writer;
use super::spec::LogSpec;

/// The log of a container, shared by its writer and its readers.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    kept: bool,
    writer: Mutex<Writer>,
    progress: watch::Sender<Progress>,
}

/// What followers wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Counts what was written.
    written: u64,
    /// More may come.
    live: bool,
}

/// Errors of reading a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The container was told to keep none.
    #[error("configured logging driver does not support reading")]
    NotKept,
    /// A file could not be read.
    #[error("Failed to read the log {}", path.display())]
    Read {
        /// The newest of its files.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Log {
    /// The log of the container `id` in its folder. Opens nothing before something is written.
    #[must_use]
    pub fn new(folder: &Path, id: &str, spec: LogSpec) -> Self {
        let path = folder.join(format!("{id}-json.log"));
        let writer = Writer::new(path.clone(), spec);
        let kept = spec != LogSpec::None;
        let progress = watch::Sender::new(Progress::default());
        Self { shared: Arc::new(Shared { path, kept, writer: Mutex::new(writer), progress }) }
    }

    /// Path of the newest file; none where nothing is kept.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.shared.kept.then_some(self.shared.path.as_path())
    }

    /// A run begins: those who follow have something to wait for.
    pub fn begin(&self) {
        self.shared.progress.send_modify(|progress| progress.live = true);
    }

    /// Takes output; whole lines are written.
    pub fn append(&self, source: Source, bytes: &[u8]) {
        if self.shared.kept && self.writer().append(source, bytes) {
            self.shared.progress.send_modify(|progress| progress.written += 1);
        }
    }

    /// The run is over: begun lines are written, and those who follow come to an end.
    pub fn end(&self) {
        if self.shared.kept {
            self.writer().flush();
        }
        self.shared.progress.send_modify(|progress| {
            *progress = Progress { written: progress.written + 1, live: false }
        });
    }

    /// Reads what `selection` asks for.
    pub async fn read(&self, selection: Selection) -> Result<Reader, LogError> {
        if !self.shared.kept {
            return Err(LogError::NotKept);
        }
        Reader::open(self.clone(), selection).await
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: std::io::Error) -> LogError {
        LogError::Read { path: self.shared.path.clone(), source }
    }
}

#[cfg(test)]
mod tests;
