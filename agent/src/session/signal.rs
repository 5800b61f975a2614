//! Signal numbers from the host.

// Only for the real-time signals, for which there is no safe constructor.
#![allow(unsafe_code)]

use rustix::process::Signal;

/// The real-time signals, those that C libraries keep for themselves included.
const REAL_TIME: std::ops::RangeInclusive<i32> = 32..=64;

/// A Linux signal number, 1 to 64.
pub(crate) fn from_number(number: u32) -> Option<Signal> {
    let number = i32::try_from(number).ok()?;
    Signal::from_named_raw(number).or_else(|| real_time(number))
}

fn real_time(number: i32) -> Option<Signal> {
    // SAFETY: the numbers that a C library keeps for itself matter to a process that handles or
    // raises them; here they are only sent to other programs, as kill(1) may.
    REAL_TIME.contains(&number).then(|| unsafe { Signal::from_raw_unchecked(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_sixty_four_are_signals() {
        let numbers = |number| from_number(number).map(Signal::as_raw);
        assert_eq!([numbers(1), numbers(31), numbers(64)], [Some(1), Some(31), Some(64)]);
        assert_eq!([numbers(0), numbers(65), numbers(u32::MAX)], [None; 3]);
    }
}
