//! Messages to the machine's owner.

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
pub(super) struct Requests(pub(super) Sender<Message>);

impl GuestRequests for Requests {
    fn request(&self, request: GuestRequest) {
        // When the owner is gone there is nothing left to ask for.
        let _ = self.0.send(Message::Guest(request));
    }
}
