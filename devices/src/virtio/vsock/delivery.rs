//! Places for packets in the guest's receive queue.

use std::sync::Arc;

use super::packet::{HEADER_LEN, Header};
use crate::memory::GuestRam;
use crate::virtio::{Buffers, Chain, Queue};

/// A chain of the receive queue, divided as a packet is. How the descriptors divide it does not
/// matter (VIRTIO 1.3, 2.7.4.1).
pub(super) struct Place {
    head: u16,
    header: Buffers,
    /// Room for data; all that is behind the header.
    pub(super) data: Buffers,
}

/// A burst of packets into the receive queue.
pub(super) struct Delivery<'q> {
    queue: &'q mut Queue,
    ram: Arc<GuestRam>,
    /// Chains that may still be taken in this burst.
    left: usize,
    used: bool,
    /// Among the chains taken in a row is one that the queue dropped, so the position in the ring
    /// cannot be moved back over them.
    torn: bool,
}

impl<'q> Delivery<'q> {
    /// A burst of at most `limit` chains.
    pub(super) fn new(queue: &'q mut Queue, limit: usize) -> Self {
        Self { ram: Arc::clone(queue.ram()), queue, left: limit, used: false, torn: false }
    }

    /// Guest memory during this burst.
    pub(super) fn ram(&self) -> Arc<GuestRam> {
        Arc::clone(&self.ram)
    }

    /// Whether the burst has reached its limit.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Takes the next chain that has room for a header and at least `data` bytes. Chains that have
    /// not, or are not memory, go back to the driver empty.
    pub(super) fn take(&mut self, data: usize) -> Option<Place> {
        self.torn = false;
        while self.left > 0 {
            let chain = self.queue.next()?;
            self.left -= 1;
            let head = chain.head;
            if let Some(place) = divide(chain, data) {
                return Some(place);
            }
            self.queue.metrics().malformed.increment();
            self.queue.complete(head, 0);
            self.used = true;
        }
        None
    }

    /// Takes the next chain while others, taken before, may still be put back. A bad one stays in
    /// the queue: completing it now would mix up the order.
    pub(super) fn take_another(&mut self, data: usize) -> Option<Place> {
        if self.left == 0 || self.torn {
            return None;
        }
        let before = self.queue.state().next_available;
        let chain = self.queue.next();
        let moved = self.queue.state().next_available.wrapping_sub(before);
        self.torn = moved != u16::from(chain.is_some());
        let chain = chain?;
        let head = chain.head;
        let place = divide(chain, data);
        if place.is_some() {
            self.left -= 1;
        } else if self.torn {
            self.queue.complete(head, 0);
            self.used = true;
        } else {
            self.queue.put_back();
        }
        place
    }

    /// Puts chains back that were taken in a row up to now, and not finished.
    pub(super) fn put_back(&mut self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            if self.torn {
                self.queue.complete(place.head, 0);
                self.used = true;
            } else {
                self.queue.put_back();
                self.left += 1;
            }
        }
    }

    /// Completes a packet whose data, if any, are in place.
    pub(super) fn finish(&mut self, mut place: Place, header: &Header) {
        // The header is in memory, so this cannot fail; nor would it hurt but that packet.
        let _ = place.header.put(header);
        self.queue.metrics().bytes_to_guest.add(u64::from(header.len.get()));
        self.queue.complete(place.head, header.packet_len());
        self.used = true;
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        if self.used {
            self.queue.signal();
        }
    }
}

fn divide(chain: Chain, data: usize) -> Option<Place> {
    let mut header = chain.writable;
    if header.len() < HEADER_LEN + data || !header.is_valid() {
        return None;
    }
    let data = header.split_off(HEADER_LEN);
    Some(Place { head: chain.head, header, data })
}
