//! One line of a log file.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::container::moment;

/// Where output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line, or a part of one that is longer than 16 KiB: then it has no line feed at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it comes from.
    pub source: Source,
    /// When its end arrived.
    pub time: OffsetDateTime,
    /// Its text with the line feed. Bytes that are no UTF-8 were replaced.
    pub text: String,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    log: Cow<'a, str>,
    stream: Source,
    time: Cow<'a, str>,
}

/// Appends a line to `out`.
pub(super) fn encode(out: &mut Vec<u8>, source: Source, time: &str, text: &[u8]) {
    let log = String::from_utf8_lossy(text);
    let line = Written { log, stream: source, time: Cow::Borrowed(time) };
    // Writing strings to memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, &line);
    out.push(b'\n');
}

/// Reads a line; none where a crash left half of one.
pub(super) fn decode(line: &[u8]) -> Option<Entry> {
    let written: Written<'_> = serde_json::from_slice(line).ok()?;
    let time = OffsetDateTime::parse(&written.time, &Rfc3339).ok()?;
    Some(Entry { source: written.stream, time, text: written.log.into_owned() })
}

/// Now, as lines have it.
pub(super) fn now() -> String {
    moment::shortest(moment::now())
}
