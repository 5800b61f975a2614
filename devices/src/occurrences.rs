//! Which of many occurrences are worth a line in the log.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what a guest or client can bring about as often as it likes. Of its occurrences the
/// first, second, fourth, eighth and so on are logged, so that nobody can flood the log.
#[derive(Debug, Default)]
pub struct Occurrences(AtomicU64);

impl Occurrences {
    /// None so far.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one more; its number, if it is to be logged.
    pub fn next(&self) -> Option<u64> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        number.is_power_of_two().then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn million_occurrences_are_logged_twenty_times() {
        let seen = Occurrences::new();
        let logged: Vec<u64> = (0..1_000_000).filter_map(|_| seen.next()).collect();
        assert_eq!((logged.len(), &logged[..4]), (20, &[1, 2, 4, 8][..]));
    }
}
