//! The log: lines on standard error, in the form of the monitors'.

use std::io::{self, Write};
use std::thread;

use log::{LevelFilter, Log, Metadata, Record};
use time::OffsetDateTime;

/// The crates whose words are all for the user.
const OURS: [&str; 5] = ["bulkhead_engine", "engine", "image", "launch", "switch"];

static LOGGER: Logger = Logger;

struct Logger;

/// Begins to log.
pub(super) fn start(level: LevelFilter) {
    // It fails only if there is a logger already, and that is this one.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries say of themselves is for their authors.
        let ours = OURS.iter().any(|name| metadata.target().starts_with(name));
        ours || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // A log that nobody takes must not stop the engine.
            let _ = io::stderr().write_all(line(record).as_bytes());
        }
    }

    fn flush(&self) {}
}

/// `2026-11-23T05:00:00.123456789 [engine:thread:LEVEL] text`, on one line whatever a guest's or a
/// client's text in it holds.
fn line(record: &Record<'_>) -> String {
    let now = OffsetDateTime::now_utc();
    let (date, (hour, minute, second, nanosecond)) = (now.date(), now.to_hms_nano());
    let thread = thread::current();
    let name = thread.name().unwrap_or("-");
    let text = record.args().to_string().replace(|c: char| c.is_control(), " ");
    format!(
        "{date}T{hour:02}:{minute:02}:{second:02}.{nanosecond:09} [engine:{name}:{}] {text}\n",
        record.level()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_stays_on_its_line() {
        let args = format_args!("one\ntwo\x1b[2J");
        let line = line(&Record::builder().args(args).level(log::Level::Warn).build());
        assert!(line.ends_with(":WARN] one two [2J\n"), "{line:?}");
        assert_eq!(line.find('T'), Some(10));
    }
}
