//! What happens to containers, images, networks and volumes, in Docker's words, told to whoever
//! listens.
//!
//! [`Bus::emit`] never waits. A listener that is too slow for a bounded queue is told that it has
//! missed something; nothing is kept for it.

mod filter;
mod model;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::broadcast::{self, error::RecvError};

pub use self::filter::{FILTERS, matches};
pub use self::model::{Actor, Event, Kind};

/// Events that are kept for those who ask for the past; as many as Docker's daemon keeps.
const HISTORY: usize = 256;
/// Events that wait for a slow listener.
const QUEUE: usize = 1024;

/// Cheap to clone; all clones are one bus.
#[derive(Clone, Debug)]
pub struct Bus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Also the lock that gives events one order for all.
    history: Mutex<VecDeque<Arc<Event>>>,
    live: broadcast::Sender<Arc<Event>>,
}

/// A listener that was too slow missed this many events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed: they were not read fast enough")]
pub struct Missed(pub u64);

impl Bus {
    /// With nothing that has happened.
    #[must_use]
    pub fn new() -> Self {
        let live = broadcast::Sender::new(QUEUE);
        Self(Arc::new(Shared { history: Mutex::default(), live }))
    }

    /// Tells all who listen of something that happened now.
    pub fn emit(&self, kind: Kind, action: impl Into<String>, actor: Actor) {
        let mut history = self.history();
        // Taken under the lock, so that the order is that of the times.
        let event =
            Arc::new(Event { kind, action: action.into(), actor, time: OffsetDateTime::now_utc() });
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(Arc::clone(&event));
        // Nobody listens: that is no fault.
        let _ = self.0.live.send(event);
    }

    /// What has happened from `since` on, as far as it is known, and what will happen. Without
    /// `since` nothing of the past.
    #[must_use]
    pub fn listen(&self, since: Option<OffsetDateTime>) -> Listener {
        let history = self.history();
        let past = since.map(|since| history.iter().filter(|e| e.time >= since).cloned().collect());
        Listener { past: past.unwrap_or_default(), live: self.0.live.subscribe() }
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.0.live.receiver_count()
    }

    fn history(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

/// One who listens.
#[derive(Debug)]
pub struct Listener {
    past: VecDeque<Arc<Event>>,
    live: broadcast::Receiver<Arc<Event>>,
}

impl Listener {
    /// The next event of the past; `None` once there are only those of the future.
    pub fn past(&mut self) -> Option<Arc<Event>> {
        self.past.pop_front()
    }

    /// The next event. `None` when there will be none any more.
    ///
    /// # Errors
    ///
    /// [`Missed`]; the events after those come next.
    pub async fn next(&mut self) -> Result<Option<Arc<Event>>, Missed> {
        if let Some(event) = self.past() {
            return Ok(Some(event));
        }
        match self.live.recv().await {
            Ok(event) => Ok(Some(event)),
            Err(RecvError::Closed) => Ok(None),
            Err(RecvError::Lagged(missed)) => Err(Missed(missed)),
        }
    }
}

#[cfg(test)]
mod tests;
