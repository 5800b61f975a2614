//! Sizes, durations and times as users write and read them.

use time::OffsetDateTime;

/// A text is none of what was expected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnitError {
    #[error("{0:?} is no size: expected a number and b, k, m, g or t")]
    Size(String),
    #[error("{0:?} is no duration: expected such as 1h30m, 10s or 500ms")]
    Duration(String),
}

/// Bytes, from `512m` or `1.5GiB`. The units are powers of 1024.
pub(crate) fn size(text: &str) -> Result<i64, UnitError> {
    let wrong = || UnitError::Size(text.to_owned());
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    let fraction: f64 = format!("0.{fraction}").parse().map_err(|_| wrong())?;
    let scale = 1_i64 << shift;
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "below 2^40")]
    let fraction = (fraction * scale as f64) as i64;
    whole.checked_mul(scale).and_then(|bytes| bytes.checked_add(fraction)).ok_or_else(wrong)
}

/// Nanoseconds, from `1h30m`, `10s`, `500ms`.
pub(crate) fn duration(text: &str) -> Result<i64, UnitError> {
    let wrong = || UnitError::Duration(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ if number == "0" && after.is_empty() => 1,
            _ => return Err(wrong()),
        };
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(unit).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total)
}

/// A moment for `--since` and `--until`: seconds since 1970, an RFC 3339 time, or a duration ago.
pub(crate) fn moment(text: &str) -> String {
    let ago =
        duration(text).ok().map(|ns| OffsetDateTime::now_utc() - time::Duration::nanoseconds(ns));
    let at = ago.or_else(|| {
        OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
    });
    match at {
        Some(at) => format!("{}.{:09}", at.unix_timestamp(), at.nanosecond()),
        None => text.to_owned(),
    }
}

/// Bytes for people, in powers of 1000: `7.38MB`.
pub(crate) fn human(bytes: i64) -> String {
    scaled(bytes, 1000.0, DECIMAL, 3)
}

/// Bytes for people with a digit more: `7.384MB`.
pub(crate) fn human_closely(bytes: i64) -> String {
    scaled(bytes, 1000.0, DECIMAL, 4)
}

/// Bytes for people, in powers of 1024: `512MiB`.
pub(crate) fn human_binary(bytes: i64) -> String {
    scaled(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 3)
}

const DECIMAL: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];

fn scaled(bytes: i64, base: f64, units: [&str; 6], digits: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let whole = [1000.0, 100.0, 10.0].iter().filter(|least| value >= **least).count() + 1;
    let number = format!("{value:.*}", digits.saturating_sub(whole));
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        &number
    };
    format!("{number}{}", units.get(unit).unwrap_or(&"B"))
}

/// When, as Go prints it: `2026-01-31 12:00:00 +0000 UTC`.
pub(crate) fn created(unix: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("{} {:02}:{:02}:{:02} +0000 UTC", at.date(), at.hour(), at.minute(), at.second())
}

/// How long ago, for people: `5 minutes ago`.
pub(crate) fn ago(unix: i64) -> String {
    format!("{} ago", span((OffsetDateTime::now_utc().unix_timestamp() - unix).max(0)))
}

/// A number of seconds, for people.
fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        3600..7200 => "About an hour".to_owned(),
        7200..172_800 => format!("{hours} hours"),
        172_800..1_209_600 => format!("{} days", hours / 24),
        1_209_600..5_184_000 => format!("{} weeks", hours / 168),
        5_184_000..63_072_000 => format!("{} months", hours / 720),
        _ => format!("{} years", hours / 8760),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(size("512m").unwrap(), 512 << 20);
        assert_eq!(size("1.5GiB").unwrap(), 3 << 29);
        assert_eq!(size("100").unwrap(), 100);
        for wrong in ["", "m", "5x", "-1", "99999999999t", "1.2.3"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(duration("1h1m1s1ms").unwrap(), 3_661_001_000_000);
        assert_eq!(duration("0").unwrap(), 0);
        for wrong in ["", "5", "s", "1d", "-1s", "99999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_for_people_have_three_digits() {
        assert_eq!(human(7_380_000), "7.38MB");
        assert_eq!(human(7_384_400), "7.38MB");
        assert_eq!(human_closely(7_384_400), "7.384MB");
        assert_eq!(
            (human_closely(13_010_000), human_closely(999)),
            ("13.01MB".into(), "999B".into())
        );
        assert_eq!(human(0), "0B");
        assert_eq!(human_binary(512 << 20), "512MiB");
    }

    #[test]
    fn spans_are_in_words() {
        assert_eq!(span(1), "1 second");
        assert_eq!(span(90), "About a minute");
        assert_eq!(span(3 * 86_400), "3 days");
    }
}
