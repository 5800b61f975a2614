//! The metadata service as a network card's detour.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::is_for;
use super::metrics::MmdsMetrics;
use super::stack::Stack;
use super::{SharedMmds, TokenError};
use crate::virtio::net::Detour;

/// One card's way to the service. The cards of a machine have one each, over the same metadata.
pub struct Endpoint {
    address: Ipv4Addr,
    stack: Mutex<Stack>,
}

impl Endpoint {
    /// An endpoint that answers at `address`.
    ///
    /// # Errors
    ///
    /// [`TokenError::Random`] without random numbers for TCP.
    pub fn new(
        address: Ipv4Addr,
        mmds: SharedMmds,
        metrics: Arc<MmdsMetrics>,
    ) -> Result<Self, TokenError> {
        let seed = u64::from_ne_bytes(super::token::random_bytes()?);
        Ok(Self { address, stack: Mutex::new(Stack::new(address, mmds, metrics, seed)) })
    }

    fn stack(&self) -> MutexGuard<'_, Stack> {
        // A connection left half-way ends by its timeout.
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Detour for Endpoint {
    fn wants(&self, start: &[u8]) -> bool {
        is_for(self.address, start)
    }

    fn take(&self, frame: &[u8]) {
        self.stack().take(frame, Instant::now());
    }

    fn next_frame(&self) -> Option<Vec<u8>> {
        self.stack().next_frame(Instant::now())
    }

    fn wake_after(&self) -> Option<Duration> {
        self.stack().wake_after(Instant::now())
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
