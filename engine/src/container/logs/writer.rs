//! Writing a log: lines from chunks, and rotation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::line::{self, Source};
use crate::container::spec::LogSpec;

/// Longer lines are split, as Docker does.
const LONGEST: usize = 16 * 1024;

/// The writing side of a log.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    max_size: u64,
    max_files: u32,
    file: Option<File>,
    size: u64,
    /// Counts rotations, so that readers find the files again that were renamed.
    generation: u64,
    begun: [Vec<u8>; 2],
    encoded: Vec<u8>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(path: PathBuf, spec: LogSpec) -> Self {
        let (max_size, max_files) = match spec {
            LogSpec::None => (0, 0),
            LogSpec::Files { max_size, max_files } => (max_size, max_files),
        };
        Self {
            path,
            max_size,
            max_files,
            file: None,
            size: 0,
            generation: 0,
            begun: [Vec::new(), Vec::new()],
            encoded: Vec::new(),
            failing: false,
        }
    }

    /// How often files were renamed.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes bytes of a stream; tells whether something was written.
    pub(super) fn append(&mut self, source: Source, bytes: &[u8]) -> bool {
        let mut begun = std::mem::take(&mut self.begun[slot(source)]);
        let time = line::now();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut part = part;
            while begun.len() + part.len() > LONGEST {
                let (head, tail) = part.split_at(LONGEST - begun.len());
                begun.extend_from_slice(head);
                part = tail;
                line::encode(&mut self.encoded, source, &time, &begun);
                begun.clear();
            }
            if begun.is_empty() && part.ends_with(b"\n") {
                line::encode(&mut self.encoded, source, &time, part);
                continue;
            }
            begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                line::encode(&mut self.encoded, source, &time, &begun);
                begun.clear();
            }
        }
        self.begun[slot(source)] = begun;
        self.write()
    }

    /// Writes lines that have no end yet.
    pub(super) fn flush(&mut self) {
        let time = line::now();
        for source in [Source::Stdout, Source::Stderr] {
            let begun = std::mem::take(&mut self.begun[slot(source)]);
            if !begun.is_empty() {
                line::encode(&mut self.encoded, source, &time, &begun);
            }
        }
        self.write();
    }

    /// Writes what was encoded. Where that fails the lines are lost: a container must not wait
    /// for a full disk.
    fn write(&mut self) -> bool {
        if self.encoded.is_empty() {
            return false;
        }
        let encoded = std::mem::take(&mut self.encoded);
        let result = self.write_lines(&encoded);
        match &result {
            Ok(()) => self.failing = false,
            Err(error) => {
                // Once for each time it begins to fail, as there may be many lines.
                if !self.failing {
                    log::error!("lines are lost: cannot write {}: {error}", self.path.display());
                }
                self.failing = true;
                // What was written in part must not run into the next line.
                self.file = None;
            }
        }
        self.encoded = encoded;
        self.encoded.clear();
        result.is_ok()
    }

    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.open()?;
        if self.size > 0 && self.size.saturating_add(length) > self.max_size {
            self.rotate()?;
            self.open()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(lines)?;
        }
        self.size = self.size.saturating_add(length);
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o640).open(&self.path)?;
        self.size = file.metadata()?.len();
        if self.size > 0 && !ends_with_line_feed(&file, self.size)? {
            file.write_all(b"\n")?;
            self.size += 1;
        }
        self.file = Some(file);
        Ok(())
    }

    /// The newest file gets `.1`, that `.2`, and the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.generation += 1;
        if self.max_files <= 1 {
            return remove(&self.path);
        }
        for index in (1..self.max_files.saturating_sub(1)).rev() {
            let from = numbered(&self.path, u64::from(index));
            match fs::rename(&from, numbered(&self.path, u64::from(index) + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(&self.path, 1))
    }
}

fn slot(source: Source) -> usize {
    usize::from(source == Source::Stderr)
}

/// A crash may have left half a line.
fn ends_with_line_feed(file: &File, size: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1)?;
    Ok(last == *b"\n")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file that was the newest `age` rotations ago.
pub(super) fn numbered(path: &Path, age: u64) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}
