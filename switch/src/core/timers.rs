//! What is to be looked at without an event.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::poller::Token;

/// Moments, each for somebody. Everybody has one at most.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, Token)>,
}

impl Timers {
    /// Moves `token`'s moment from where it is, which its owner keeps in `set`, to `at`.
    pub(crate) fn set(&mut self, token: Token, set: &mut Option<Instant>, at: Option<Instant>) {
        if *set == at {
            return;
        }
        if let Some(old) = set.take() {
            self.due.remove(&(old, token));
        }
        if let Some(at) = at {
            self.due.insert((at, token));
            *set = Some(at);
        }
    }

    /// How long until the first; `None`: there is none.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.first().map(|(at, _)| at.saturating_duration_since(now))
    }

    /// Takes one whose moment has come. Its owner's note of it is void.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Token> {
        let (at, _) = self.due.first()?;
        if *at > now { None } else { self.due.pop_first().map(|(_, token)| token) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::poller::Source;
    use super::*;

    #[test]
    fn moved_moment_comes_once_at_its_new_time() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let (first, second) = (Token::new(Source::Tcp, 1), Token::new(Source::Udp, 1));
        let (mut a, mut b) = (None, None);
        timers.set(first, &mut a, Some(now));
        timers.set(second, &mut b, Some(now + Duration::from_secs(1)));
        timers.set(first, &mut a, Some(now + Duration::from_secs(2)));
        assert_eq!(timers.wait(now), Some(Duration::from_secs(1)));
        assert_eq!(timers.take(now), None);
        assert_eq!(timers.take(now + Duration::from_secs(3)), Some(second));
        timers.set(first, &mut a, None);
        assert_eq!((timers.take(now + Duration::from_secs(3)), a), (None, None));
    }
}
