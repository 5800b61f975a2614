//! Reading a log, also while it is written.

use std::io;

use time::OffsetDateTime;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

use super::line::{self, Entry, Source};
use super::position::{self, Position};
use super::writer::numbered;
use super::{Log, LogError, Progress};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Which lines to read.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    /// Those of standard output.
    pub stdout: bool,
    /// Those of standard error.
    pub stderr: bool,
    /// Not before this.
    pub since: Option<OffsetDateTime>,
    /// Not after this.
    pub until: Option<OffsetDateTime>,
    /// So many of the last only.
    pub tail: Option<usize>,
    /// Go on with those to come until the run is over.
    pub follow: bool,
}

impl Selection {
    /// Everything that is there.
    pub const ALL: Self =
        Self { stdout: true, stderr: true, since: None, until: None, tail: None, follow: false };

    fn takes(&self, entry: &Entry) -> bool {
        let source = match entry.source {
            Source::Stdout => self.stdout,
            Source::Stderr => self.stderr,
        };
        source && self.since.is_none_or(|since| entry.time >= since)
    }
}

/// Reads entries one after the other.
#[derive(Debug)]
pub struct Reader {
    log: Log,
    selection: Selection,
    progress: watch::Receiver<Progress>,
    /// The generation of the file that is open, or is to be opened next.
    generation: u64,
    file: Option<File>,
    buffer: Vec<u8>,
    taken: usize,
}

impl Reader {
    pub(super) async fn open(log: Log, selection: Selection) -> Result<Self, LogError> {
        let progress = log.shared.progress.subscribe();
        let positioned = {
            let log = log.clone();
            // Files are not renamed meanwhile.
            tokio::task::spawn_blocking(move || -> io::Result<(u64, Position)> {
                let writer = log.writer();
                let path = &log.shared.path;
                let position = match selection.tail {
                    Some(lines) => position::tail(path, lines)?,
                    None => position::oldest(path),
                };
                Ok((writer.generation(), position))
            })
            .await
        };
        let positioned = positioned.unwrap_or_else(|error| Err(io::Error::other(error)));
        let (generation, position) = positioned.map_err(|error| log.failed(error))?;
        let mut reader = Self {
            log,
            selection,
            progress,
            // Older files than this engine's first have negative numbers; wrapping keeps distances.
            generation: generation.wrapping_sub(position.age),
            file: None,
            buffer: Vec::new(),
            taken: 0,
        };
        reader.open_file(position.offset).await?;
        Ok(reader)
    }

    /// The next entry; none when there are no more.
    pub async fn next(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            let seen = *self.progress.borrow_and_update();
            while let Some(entry) = self.next_written().await? {
                if self.selection.until.is_some_and(|until| entry.time > until) {
                    return Ok(None);
                }
                if self.selection.takes(&entry) {
                    return Ok(Some(entry));
                }
            }
            if !self.selection.follow || !seen.live {
                return Ok(None);
            }
            if !self.wait().await {
                return Ok(None);
            }
        }
    }

    /// Waits for something new, or the end of the time that was asked for.
    async fn wait(&mut self) -> bool {
        let changed = self.progress.changed();
        let Some(until) = self.selection.until else { return changed.await.is_ok() };
        let left = until - super::super::moment::now();
        let left = std::time::Duration::try_from(left).unwrap_or_default();
        tokio::time::timeout(left, changed).await.is_ok_and(|changed| changed.is_ok())
    }

    /// The next entry that is in the files.
    async fn next_written(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(entry) = line::decode(&line) {
                    return Ok(Some(entry));
                }
            }
            if !self.fill().await? && !self.next_file().await? {
                return Ok(None);
            }
        }
    }

    /// A whole line of the buffer.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.taken..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')? + 1;
        let line = rest.get(..length)?.to_vec();
        self.taken += length;
        Some(line)
    }

    /// Reads on in the open file; tells whether there was something.
    async fn fill(&mut self) -> Result<bool, LogError> {
        let Some(file) = &mut self.file else { return Ok(false) };
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK, 0);
        let read = match self.buffer.get_mut(length..) {
            Some(space) => file.read(space).await,
            None => Ok(0),
        };
        let read = read.map_err(|error| self.log.failed(error))?;
        self.buffer.truncate(length + read);
        Ok(read > 0)
    }

    /// Goes on to the file after this one, if this one is not the newest.
    async fn next_file(&mut self) -> Result<bool, LogError> {
        let newest = self.log.writer().generation();
        if self.file.is_none() {
            // Nothing had been written yet.
            return self.open_file(0).await;
        }
        if newest == self.generation {
            return Ok(false);
        }
        // Something may have come between the last read and the rotation.
        if self.fill().await? {
            return Ok(true);
        }
        self.buffer.clear();
        self.taken = 0;
        self.generation = self.generation.wrapping_add(1);
        self.file = None;
        self.open_file(0).await
    }

    /// Opens the file of this generation, or the oldest there is if that is gone.
    async fn open_file(&mut self, offset: u64) -> Result<bool, LogError> {
        let opened = {
            let writer = self.log.writer();
            let path = &self.log.shared.path;
            let mut age = writer.generation().wrapping_sub(self.generation);
            loop {
                match std::fs::File::open(numbered(path, age)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        if age == 0 {
                            break Ok(None);
                        }
                        age -= 1;
                    }
                    Err(error) => break Err(error),
                    Ok(file) => break Ok(Some((file, writer.generation().wrapping_sub(age)))),
                }
            }
        };
        let Some((file, generation)) = opened.map_err(|error| self.log.failed(error))? else {
            return Ok(false);
        };
        let mut file = File::from_std(file);
        if generation == self.generation && offset > 0 {
            let sought = file.seek(io::SeekFrom::Start(offset)).await;
            sought.map_err(|error| self.log.failed(error))?;
        }
        self.generation = generation;
        self.file = Some(file);
        Ok(true)
    }
}
