//! Whether a card's link is up: only if its cable is plugged in at both ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::virtio::device::Interrupt;

/// A link, up unless something is said against it.
#[derive(Default)]
pub(super) struct Link {
    /// Pulled at the card's end, by the machine's owner.
    pulled: AtomicBool,
    /// Pulled at the far end, or nobody is there.
    dead: AtomicBool,
    /// The driver's, while there is one.
    interrupt: Mutex<Option<Arc<dyn Interrupt>>>,
}

impl Link {
    pub(super) fn is_up(&self) -> bool {
        !self.pulled.load(Ordering::Relaxed) && !self.dead.load(Ordering::Relaxed)
    }

    /// Whom to tell of changes.
    pub(super) fn set_interrupt(&self, interrupt: Option<Arc<dyn Interrupt>>) {
        *self.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = interrupt;
    }

    /// Plugs the cable in at the card's end, or pulls it.
    pub(super) fn set_plugged_in(&self, plugged_in: bool) {
        self.change(&self.pulled, !plugged_in);
    }

    /// What the far end says.
    pub(super) fn set_alive(&self, alive: bool) {
        self.change(&self.dead, !alive);
    }

    fn change(&self, bit: &AtomicBool, value: bool) {
        let was_up = self.is_up();
        bit.store(value, Ordering::Relaxed);
        if self.is_up() != was_up {
            let interrupt = self.interrupt.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(interrupt) = &*interrupt {
                interrupt.config_changed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_is_up_only_if_both_ends_are() {
        let link = Link::default();
        assert!(link.is_up());
        link.set_alive(false);
        link.set_plugged_in(false);
        link.set_alive(true);
        assert!(!link.is_up());
        link.set_plugged_in(true);
        assert!(link.is_up());
    }
}
