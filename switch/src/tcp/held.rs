//! Acknowledgements that are held back, so that a guest which sends much is not interrupted for
//! each of its packets.
//!
//! Only long packets make them wait: whoever sends short ones may do so again only when it has
//! heard of the last. A sender has room for more until a quarter of its window is used up, and it
//! waits no longer than [`MOMENT`].

use std::time::{Duration, Instant};

/// The longest that a guest hears nothing.
const MOMENT: Duration = Duration::from_millis(1);
/// What counts as a long packet, in bytes that it carries.
const LONG: usize = 8 << 10;

/// What one guest has not been told to have arrived.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: usize,
    /// Bytes with which it is told at once.
    enough: usize,
    until: Option<Instant>,
}

impl Held {
    /// Nothing yet, for a connection that may have `window` bytes on their way.
    pub(crate) fn new(window: usize) -> Self {
        Self { bytes: 0, enough: window / 4, until: None }
    }

    /// A packet has come, and `len` bytes with it.
    pub(crate) fn take(&mut self, len: usize, now: Instant) {
        if len == 0 {
            return;
        }
        self.bytes = if len < LONG { self.enough } else { self.bytes.saturating_add(len) };
        self.until.get_or_insert(now + MOMENT);
    }

    /// The guest has been told.
    pub(crate) fn tell(&mut self) {
        (self.bytes, self.until) = (0, None);
    }

    /// Until when it need not be told; `None`: it is time, or there is nothing to tell.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| self.bytes < self.enough && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_packets_wait_for_a_quarter_of_the_window_or_a_moment() {
        let (mut held, now) = (Held::new(400_000), Instant::now());
        assert_eq!(held.until(now), None);
        held.take(60_000, now);
        assert_eq!(held.until(now), Some(now + MOMENT));
        assert_eq!(held.until(now + MOMENT), None);
        // The moment is the first one's.
        held.take(30_000, now + MOMENT / 2);
        assert_eq!(held.until(now + MOMENT / 2), Some(now + MOMENT));
        held.take(30_000, now + MOMENT / 2);
        assert_eq!(held.until(now + MOMENT / 2), None);
        held.tell();
        held.take(60_000, now + MOMENT);
        assert_eq!(held.until(now + MOMENT), Some(now + MOMENT * 2));
    }

    #[test]
    fn short_packet_is_told_at_once_with_all_before_it() {
        let (mut held, now) = (Held::new(400_000), Instant::now());
        held.take(40, now);
        assert_eq!(held.until(now), None);
        held.tell();
        // An acknowledgement from the guest asks for none.
        held.take(0, now);
        held.take(60_000, now);
        held.take(1_500, now);
        assert_eq!(held.until(now), None);
    }

    #[test]
    fn window_of_few_packets_holds_nothing() {
        let (mut held, now) = (Held::new(160 << 10), Instant::now());
        held.take(65_508, now);
        assert_eq!(held.until(now), None);
    }
}
