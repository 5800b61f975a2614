//! The metrics file: a line when asked, and one every minute.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::metrics::MetricFamily;
use api::metrics::firecracker::LineWriter;
use api::vm::wire::Metrics as Settings;

use crate::logger::open_append;

/// Time between two lines.
const PERIOD: Duration = Duration::from_secs(60);

/// The file and what its lines have in common.
pub(crate) struct MetricsFile {
    file: File,
    writer: LineWriter,
}

impl MetricsFile {
    /// Opens what the settings name.
    pub(crate) fn open(settings: &Settings) -> io::Result<Self> {
        let file = open_append(&settings.metrics_path)?;
        let properties: Option<BTreeMap<String, String>> = settings.properties.clone();
        Ok(Self { file, writer: LineWriter::new(None, properties) })
    }

    /// Appends a line.
    pub(crate) fn write(&mut self, families: &[MetricFamily]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.file.write_all(self.writer.line(families, now_ms).as_bytes())
    }
}

/// Calls `flush` every minute until it is dropped.
pub(crate) struct Ticker(#[allow(dead_code)] mpsc::Sender<()>);

impl Ticker {
    /// Starts. `prepare` runs first on its thread; `flush` says whether to go on.
    pub(crate) fn start(
        prepare: impl FnOnce() + Send + 'static,
        flush: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            prepare();
            while receiver.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) && flush() {}
        })?;
        Ok(Self(sender))
    }
}
