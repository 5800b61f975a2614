//! What a guest asks of its machine as a whole.

/// A guest's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestRequest {
    /// Power off: the guest entered sleep state S5.
    PowerOff,
    /// Restart.
    Reset,
    /// Its kernel panicked; it may still write a dump or restart.
    Panicked,
}

/// Takes guests' requests, on vCPU threads. Must not block.
pub trait GuestRequests: Send + Sync {
    /// The guest asks for `request`.
    fn request(&self, request: GuestRequest);
}
