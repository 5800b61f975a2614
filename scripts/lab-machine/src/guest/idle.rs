//! Powers the lab off when nobody has used it for a while, so that a forgotten
//! one does not stay.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts sessions and knows how long the lab may be without one.
#[derive(Debug)]
pub struct IdleTimer {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    sessions: usize,
    limit: Duration,
}

/// A running session; the lab is not idle while one exists.
#[derive(Debug)]
pub struct Busy<'a>(&'a IdleTimer);

impl IdleTimer {
    /// A timer that ends the lab after `limit` without a session.
    pub const fn new(limit: Duration) -> Self {
        Self { state: Mutex::new(State { sessions: 0, limit }), changed: Condvar::new() }
    }

    /// Marks a session's start and sets the limit it asks for.
    pub fn enter(&self, limit: Duration) -> Busy<'_> {
        let mut state = self.lock();
        state.sessions += 1;
        state.limit = limit;
        Busy(self)
    }

    /// Returns once the lab has been idle for its limit.
    pub fn wait_until_idle(&self) {
        let mut state = self.lock();
        loop {
            let limit = state.limit;
            let waited = if state.sessions > 0 {
                let guard = self.changed.wait(state);
                state = guard.unwrap_or_else(PoisonError::into_inner);
                continue;
            } else {
                self.changed.wait_timeout(state, limit)
            };
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if timeout.timed_out() && state.sessions == 0 {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().sessions -= 1;
        self.0.changed.notify_all();
    }
}
