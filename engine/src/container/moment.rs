//! Moments as Docker writes and reads them.

use std::time::SystemTime;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

/// What Docker shows for a moment that never was.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, in UTC.
#[must_use]
pub fn now() -> OffsetDateTime {
    SystemTime::now().into()
}

/// Now, in nanoseconds since 1970.
#[must_use]
pub fn now_ns() -> u64 {
    u64::try_from(now().unix_timestamp_nanos()).unwrap_or_default()
}

/// RFC 3339 in UTC, with as many digits of the second as there are.
#[must_use]
pub fn shortest(moment: OffsetDateTime) -> String {
    // Years beyond 9999 do not come from clocks.
    moment.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_else(|_| NEVER.to_owned())
}

/// RFC 3339 in UTC with nine digits of the second, as `docker logs --timestamps` shows.
#[must_use]
pub fn fixed(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second, nano) = moment.to_hms_nano();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nano:09}Z")
}

/// Nanoseconds since 1970 as a moment.
#[must_use]
pub fn from_nanos(nanos: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).unwrap_or_else(|_| now())
}

/// Reads a moment of a query: seconds since 1970, with a fraction or without, or RFC 3339.
#[must_use]
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(moment);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos: i64 =
        if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    let whole = OffsetDateTime::from_unix_timestamp(seconds.parse().ok()?).ok()?;
    whole.checked_add(Duration::nanoseconds(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_with_a_fraction_are_read() {
        let moment = parse("1136073845.000000001").unwrap();
        assert_eq!(moment.unix_timestamp_nanos(), 1_136_073_845_000_000_001);
        assert_eq!(fixed(moment), "2006-01-01T00:04:05.000000001Z");
    }

    #[test]
    fn moments_of_other_zones_are_shown_in_utc() {
        let moment = parse("2006-01-02T15:04:05.25+07:00").unwrap();
        assert_eq!(shortest(moment), "2006-01-02T08:04:05.25Z");
        assert_eq!(fixed(moment), "2006-01-02T08:04:05.250000000Z");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "yesterday", "1.2.3", "1.-5", "99999999999999999999", "1.1234567890"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
