//! Messages to the machine's owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use devices::legacy::{GuestRequest, GuestRequests};

use super::run::Machine;
use crate::vcpu::VcpuEnd;

/// What reaches the thread that owns the machine.
pub(super) enum Message {
    /// Somebody wants something done.
    Call(Box<dyn FnOnce(&mut Machine) + Send>),
    /// The guest asks for something.
    Guest(GuestRequest),
    /// A vCPU came to an end by itself.
    Vcpu(u8, VcpuEnd),
}

/// Passes guests' requests on to the machine's owner.
pub(super) struct Requests {
    pub(super) owner: Sender<Message>,
    /// Set with a request that ends the machine: vCPUs do not go on after it, though the owner
    /// takes a moment to stop them.
    pub(super) over: Arc<AtomicBool>,
}

impl GuestRequests for Requests {
    fn request(&self, request: GuestRequest) {
        if request != GuestRequest::Panicked {
            self.over.store(true, Ordering::Release);
        }
        // When the owner is gone there is nothing left to ask for.
        let _ = self.owner.send(Message::Guest(request));
    }
}
