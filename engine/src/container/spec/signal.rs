//! Signals by name and number.

use super::SpecError;

const NAMES: [(&str, u32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// `SIGKILL`.
pub const KILL: u32 = 9;
/// `SIGTERM`.
pub const TERM: u32 = 15;

/// The number of `15`, `TERM`, `SIGTERM`, `RTMIN+3` or `RTMAX-1`.
pub fn parse(text: &str) -> Result<u32, SpecError> {
    let invalid = || SpecError::Invalid(format!("Invalid signal: {text}"));
    if let Ok(number) = text.parse::<u32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    real_time(name).filter(|number| (34..=64).contains(number)).ok_or_else(invalid)
}

/// Real-time signals count from 34, as glibc takes 32 and 33.
fn real_time(name: &str) -> Option<u32> {
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(rest, '+').and_then(|offset| 34_u32.checked_add(offset));
    }
    let rest = name.strip_prefix("RTMAX")?;
    offset(rest, '-').and_then(|offset| 64_u32.checked_sub(offset))
}

fn offset(rest: &str, sign: char) -> Option<u32> {
    if rest.is_empty() { Some(0) } else { rest.strip_prefix(sign)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for (text, number) in
            [("15", 15), ("TERM", 15), ("sigterm", 15), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
    }

    #[test]
    fn other_words_are_refused() {
        for text in ["", "0", "65", "SIG", "FOO", "RTMIN+31", "RTMAX+1", "-9"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
