//! Times and durations, as people read them.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use launch::ProcessId;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Milliseconds since 1970 as an RFC 3339 time.
pub(crate) fn utc(time_ms: u64) -> String {
    let (days, ms) = (time_ms / DAY_MS, time_ms % DAY_MS);
    let (year, month, day) = civil(days);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin with March end with the leap day; 400 of them are an era. 719,468 days
    // lie between 0000-03-01 and 1970-01-01.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// How long a process has run; `None` where `/proc` does not say.
pub(crate) fn uptime(process: ProcessId) -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = text.split_whitespace().next()?.parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second();
    let started = process.started.checked_div(ticks)?;
    Duration::try_from_secs_f64(now)
        .ok()
        .map(|now| now.saturating_sub(Duration::from_secs(started)))
}

/// How long ago a time in milliseconds since 1970 was.
pub(crate) fn since(time_ms: u64) -> Duration {
    let then = UNIX_EPOCH.checked_add(Duration::from_millis(time_ms));
    // A clock that was set back has no answer.
    then.and_then(|then| then.elapsed().ok()).unwrap_or_default()
}

/// The two largest units of a duration: `3d 4h`, `5m 6s`, `7s`.
pub(crate) fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, ..) => format!("{d}d {h}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_around_leap_days_have_their_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(19_722), (2023, 12, 31));
        assert_eq!(civil(19_782), (2024, 2, 29));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        assert_eq!(rough(Duration::from_secs(7)), "7s");
        assert_eq!(rough(Duration::from_secs(306)), "5m 6s");
        assert_eq!(rough(Duration::from_secs(3 * 86_400 + 4 * 3600 + 59)), "3d 4h");
    }

    #[test]
    fn this_process_has_run_for_less_than_an_hour() {
        let process = ProcessId::own().unwrap();
        assert!(uptime(process).unwrap() < Duration::from_secs(3600));
    }
}
