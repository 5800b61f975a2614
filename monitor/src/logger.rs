//! The log: lines in Firecracker's form, to standard error, a file or a named pipe.
//!
//! A reader of the pipe that does not keep up loses lines; the machine never waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use api::vm::wire::Logger as Settings;
use devices::metrics::Counter;
use log::{LevelFilter, Log, Metadata, Record};
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};

use crate::shorten::shorten;

/// Lines that could not be written.
pub(crate) static MISSED: Counter = Counter::new();

static LOGGER: Logger = Logger(Mutex::new(State {
    target: Target::StandardError,
    id: String::new(),
    show_level: false,
    show_origin: false,
    module: None,
}));

enum Target {
    StandardError,
    File(File),
}

struct State {
    target: Target,
    id: String,
    show_level: bool,
    show_origin: bool,
    module: Option<String>,
}

struct Logger(Mutex<State>);

impl Logger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to log, for the machine `id`.
pub(crate) fn start(id: &str) {
    LOGGER.lock().id = id.to_owned();
    // It fails only if there is a logger already, and that is this one.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(LevelFilter::Info);
}

/// Changes where and how is logged. What is not given stays.
pub(crate) fn configure(settings: &Settings) -> io::Result<()> {
    let file = settings.log_path.as_deref().map(open_append).transpose()?;
    let mut state = LOGGER.lock();
    if let Some(file) = file {
        state.target = Target::File(file);
    }
    state.show_level = settings.show_level.unwrap_or(state.show_level);
    state.show_origin = settings.show_log_origin.unwrap_or(state.show_origin);
    if let Some(module) = &settings.module {
        state.module = Some(module.clone());
    }
    log::set_max_level(settings.level.map_or(LevelFilter::Info, Into::into));
    Ok(())
}

/// Opens a file to append to, or a named pipe that may have no reader yet.
pub(crate) fn open_append(path: &str) -> io::Result<File> {
    // A pipe opened for both directions needs no reader, and is never waited for.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).append(true).create(true).custom_flags(nonblock).open(path)
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let state = self.lock();
        state.module.as_ref().is_none_or(|module| metadata.target().starts_with(module.as_str()))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut state = self.lock();
        let line = line(&state, record);
        let written = match &mut state.target {
            Target::StandardError => io::stderr().write_all(line.as_bytes()),
            Target::File(file) => file.write_all(line.as_bytes()),
        };
        if written.is_err() {
            MISSED.increment();
        }
    }

    fn flush(&self) {}
}

/// `2026-11-23T05:00:00.123456789 [id:thread:LEVEL:file:line] text`
fn line(state: &State, record: &Record<'_>) -> String {
    let thread = thread::current();
    let mut head = format!("{}:{}", state.id, thread.name().unwrap_or("-"));
    if state.show_level {
        head.push_str(&format!(":{}", record.level()));
    }
    if state.show_origin {
        let (file, line) = (record.file().unwrap_or("-"), record.line().unwrap_or(0));
        head.push_str(&format!(":{file}:{line}"));
    }
    format!("{} [{head}] {}\n", timestamp(), shorten(record.args().to_string()))
}

/// Now, UTC.
fn timestamp() -> String {
    let now = clock_gettime(ClockId::Realtime);
    let (day, second) = (now.tv_sec.div_euclid(86_400), now.tv_sec.rem_euclid(86_400));
    let (year, month, day) = civil_date(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}", now.tv_nsec)
}

/// The date that is `days` after 1970-01-01 in the Gregorian calendar. Years are counted from
/// March, so that the leap day is their last.
fn civil_date(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_ERA: i64 = 146_097;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(DAYS_IN_ERA);
    let day = shifted.rem_euclid(DAYS_IN_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(19_782), (2024, 2, 29));
        assert_eq!(civil_date(19_783), (2024, 3, 1));
        assert_eq!(civil_date(-1), (1969, 12, 31));
    }

    #[test]
    fn line_says_what_it_is_asked_to() {
        let mut state = State {
            target: Target::StandardError,
            id: "vm".to_owned(),
            show_level: false,
            show_origin: false,
            module: None,
        };
        let record = |state: &State| {
            let args = format_args!("text");
            line(state, &Record::builder().args(args).level(log::Level::Warn).build())
        };
        assert!(record(&state).ends_with("line_says_what_it_is_asked_to] text\n"));
        state.show_level = true;
        state.show_origin = true;
        assert!(record(&state).ends_with(":WARN:-:0] text\n"), "{}", record(&state));
    }
}
