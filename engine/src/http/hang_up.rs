//! Noticing that a client has hung up, while nobody reads from it or writes to it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{CreateFlags, EventData, EventFlags, add, create};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A watch over a client's connection. A client that only has no more to say is still there.
pub(super) struct HangUp(AsyncFd<OwnedFd>);

impl HangUp {
    /// Of the client at the other end of `socket`.
    ///
    /// # Errors
    ///
    /// The system's: no more descriptors.
    pub(super) fn of(socket: impl AsFd) -> io::Result<Self> {
        let watch = create(CreateFlags::CLOEXEC)?;
        // No event is asked for: that both directions are closed is told all the same, and is the
        // only thing that must wake anybody.
        add(&watch, socket, EventData::new_u64(0), EventFlags::empty())?;
        // What it is deprecated for cannot happen: an `OwnedFd` owns one descriptor for all its
        // life.
        #[expect(deprecated)]
        AsyncFd::with_interest(watch, Interest::READABLE).map(Self)
    }

    /// Until it has hung up.
    pub(super) async fn told(&self) {
        // It fails only when the runtime ends.
        let _ = self.0.readable().await;
    }
}
