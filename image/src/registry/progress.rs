//! How far a transfer is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Digest;

/// Bytes are told no more often than that for each layer.
const INTERVAL: Duration = Duration::from_millis(100);

/// What happens to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A pull knows of the layer.
    Pulling,
    /// Somebody else transfers it, or its turn has not come.
    Waiting,
    /// Bytes come; they are hashed, inflated and converted as they do.
    Downloading {
        /// So many have come.
        current: u64,
        /// So many there are.
        total: u64,
    },
    /// The connection broke; the next attempt comes after this time.
    Retrying(Duration),
    /// All bytes are here, and the last are converted.
    Extracting,
    /// The layer is in the store.
    Done,
    /// It was there before.
    Exists,
    /// A push has the blob before it.
    Preparing,
    /// Bytes go.
    Pushing {
        /// So many have gone.
        current: u64,
        /// So many there are.
        total: u64,
    },
    /// The registry had it in another repository.
    Mounted,
    /// The registry has it now.
    Pushed,
}

/// A step of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The layer's blob.
    pub layer: Digest,
    /// What happens to it.
    pub phase: Phase,
}

/// What is told of each step. It is called from the task of the transfer and must not block.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Progress) + Send + Sync>);

impl Observer {
    /// One that calls `tell`.
    pub fn new(tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, layer: Digest, phase: Phase) {
        (self.0)(Progress { layer, phase });
    }

    /// One for the bytes of a blob.
    pub(super) fn meter(&self, layer: Digest) -> Meter {
        Meter { observer: self.clone(), layer, told: None }
    }
}

impl Default for Observer {
    fn default() -> Self {
        Self::new(|_| ())
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// Tells of bytes, but not of each.
pub(super) struct Meter {
    observer: Observer,
    layer: Digest,
    told: Option<Instant>,
}

impl Meter {
    pub(super) fn tell(&mut self, phase: Phase) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now.duration_since(told) >= INTERVAL) {
            self.told = Some(now);
            self.observer.tell(self.layer, phase);
        }
    }
}
