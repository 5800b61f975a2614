//! One virtqueue as its handler sees it: chains in, completions out (VIRTIO 1.3, 2.7).
//!
//! EVENT_IDX and indirect descriptors are dealt with here and nowhere else.

use std::num::Wrapping;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use log::warn;
use serde::{Deserialize, Serialize};
use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue as Ring, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryError};
use vmm_sys_util::eventfd::EventFd;

use super::buffers::Buffers;
use super::device::Interrupt;
use crate::memory::{GuestRam, Memory};
use crate::metrics::QueueMetrics;
use crate::occurrences::Occurrences;

/// Bytes of the used ring before its elements, and of one of them (VIRTIO 1.3, 2.7.8).
const USED_RING: u64 = 4;
const USED_ELEMENT: u64 = 8;
/// The same of the available ring (VIRTIO 1.3, 2.7.6).
const AVAILABLE_RING: u64 = 4;
const AVAILABLE_ELEMENT: u64 = 2;

/// The largest queue size that the specification allows (VIRTIO 1.3, 2.7).
pub const MAX_QUEUE_SIZE: u16 = 32768;

/// Where the driver put a queue, as it told the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueLayout {
    /// Size in descriptors, a power of two.
    pub size: u16,
    /// Guest address of the descriptor table.
    pub descriptors: u64,
    /// Guest address of the available ring (driver area).
    pub available: u64,
    /// Guest address of the used ring (device area).
    pub used: u64,
}

/// How far a stopped queue got: all that must survive a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueState {
    /// Index of the next entry of the available ring to take, modulo 2^16.
    pub next_available: u16,
    /// Index of the next entry of the used ring to fill, modulo 2^16.
    pub next_used: u16,
}

/// Why a queue that the driver set up cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidQueue {
    /// The size is zero, not a power of two, or too large.
    #[error("queue {index} has invalid size {size}")]
    Size {
        /// Queue index.
        index: u16,
        /// The size in descriptors.
        size: u16,
    },
    /// A part is misaligned or not in memory.
    #[error("queue {index} does not lie in guest memory: {layout:x?}")]
    Layout {
        /// Queue index.
        index: u16,
        /// What the driver gave.
        layout: QueueLayout,
    },
}

/// What connects a queue to its surroundings.
#[derive(Clone)]
pub struct QueueLinks {
    /// The guest's memory.
    pub memory: Memory,
    /// Signalled by the driver when it added buffers.
    pub kick: Arc<EventFd>,
    /// Signals the driver.
    pub interrupt: Arc<dyn Interrupt>,
    /// What is counted.
    pub metrics: Arc<QueueMetrics>,
}

/// A request: the buffers of one descriptor chain.
#[derive(Debug)]
pub struct Chain {
    /// Names the chain when it is completed.
    pub head: u16,
    /// What the driver wrote for the device.
    pub readable: Buffers,
    /// What the device is to fill.
    pub writable: Buffers,
}

/// A running queue.
pub struct Queue {
    index: u16,
    ring: Ring,
    links: QueueLinks,
    /// The state of the memory map that the current chain was taken with.
    ram: Arc<GuestRam>,
    /// The driver broke the ring itself; nothing more is taken from it until a reset.
    broken: bool,
    /// Whether the driver was asked to notify of new buffers.
    armed: bool,
    /// Whether event indices were negotiated.
    event_idx: bool,
    /// Where the used index stood when the driver was last told, or not told, of completions.
    signalled: Wrapping<u16>,
}

impl Queue {
    /// Puts queue `index` into service where `state` left it.
    pub fn new(
        index: u16,
        layout: QueueLayout,
        event_idx: bool,
        state: QueueState,
        links: QueueLinks,
    ) -> Result<Self, InvalidQueue> {
        let size_error = |_| InvalidQueue::Size { index, size: layout.size };
        let layout_error = |_| InvalidQueue::Layout { index, layout };
        let mut ring = Ring::new(MAX_QUEUE_SIZE).map_err(size_error)?;
        ring.try_set_size(layout.size).map_err(size_error)?;
        ring.try_set_desc_table_address(GuestAddress(layout.descriptors)).map_err(layout_error)?;
        ring.try_set_avail_ring_address(GuestAddress(layout.available)).map_err(layout_error)?;
        ring.try_set_used_ring_address(GuestAddress(layout.used)).map_err(layout_error)?;
        ring.set_event_idx(event_idx);
        ring.set_next_avail(state.next_available);
        ring.set_next_used(state.next_used);
        ring.set_ready(true);
        let ram = links.memory.memory().into_inner();
        if layout.available == 0 || !ring.is_valid(&*ram) {
            return Err(InvalidQueue::Layout { index, layout });
        }
        let signalled = Wrapping(state.next_used);
        Ok(Self { index, ring, links, ram, broken: false, armed: true, event_idx, signalled })
    }

    /// The queue's index within its device.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The queue's size in descriptors.
    pub fn size(&self) -> u16 {
        self.ring.size()
    }

    /// The driver's notifications.
    pub fn kick(&self) -> &Arc<EventFd> {
        &self.links.kick
    }

    /// What is counted for this queue.
    pub fn metrics(&self) -> &QueueMetrics {
        &self.links.metrics
    }

    /// The same counters, to be kept elsewhere.
    pub fn shared_metrics(&self) -> Arc<QueueMetrics> {
        Arc::clone(&self.links.metrics)
    }

    /// Guest memory as it was when the last chain was taken.
    pub fn ram(&self) -> &Arc<GuestRam> {
        &self.ram
    }

    /// Where the queue stands.
    pub fn state(&self) -> QueueState {
        QueueState { next_available: self.ring.next_avail(), next_used: self.ring.next_used() }
    }

    /// Takes the next chain. While there are chains the driver is not asked for notifications;
    /// `None` means that it is, and that the queue was empty after it was.
    ///
    /// A chain that breaks the specification is dropped (used with length 0) and counted. An
    /// impossible ring index takes the queue out of service and asks for a reset.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Chain> {
        self.follow_memory();
        loop {
            if self.broken {
                return None;
            }
            if self.armed {
                self.armed = false;
                if self.ring.disable_notification(&*self.ram).is_err() {
                    self.fail("its rings left guest memory");
                }
            }
            match self.take() {
                Taken::Chain(chain) => return Some(chain),
                Taken::Dropped => {}
                Taken::Empty => match self.ring.enable_notification(&*self.ram) {
                    Ok(true) => {}
                    Ok(false) => {
                        self.armed = true;
                        return None;
                    }
                    Err(_) => self.fail("its rings left guest memory"),
                },
            }
        }
    }

    /// Takes note of a new memory map. Looking costs less than a reference of one's own.
    fn follow_memory(&mut self) {
        let now = self.links.memory.memory();
        if !std::ptr::eq(&raw const *now, Arc::as_ptr(&self.ram)) {
            self.ram = now.into_inner();
        }
    }

    /// Takes the next chain if there is one, leaving notifications as they are.
    fn take(&mut self) -> Taken {
        let mut available = match self.ring.iter(&*self.ram) {
            Ok(available) => available,
            Err(error) => {
                self.fail(&error.to_string());
                return Taken::Dropped;
            }
        };
        let Some(descriptors) = available.next() else { return Taken::Empty };
        let head = descriptors.head_index();
        match Chain::collect(head, descriptors, &self.ram) {
            Ok(chain) => Taken::Chain(chain),
            Err(fault) => {
                self.links.metrics.malformed.increment();
                warn_limited(self.index, head, fault);
                self.publish(head, 0);
                self.signal();
                Taken::Dropped
            }
        }
    }

    /// Puts the chain taken last back, to be taken again. Only before it is completed.
    pub fn put_back(&mut self) {
        self.ring.go_to_previous_position();
    }

    /// Gives a chain back to the driver with `written` bytes of its writable part filled. Follow
    /// a burst of these with [`signal`](Self::signal).
    pub fn complete(&mut self, head: u16, written: u32) {
        self.links.metrics.requests.increment();
        self.publish(head, written);
    }

    fn publish(&mut self, head: u16, written: u32) {
        if self.ring.add_used(&*self.ram, head, written).is_err() {
            self.fail("a completion did not fit its used ring");
        }
    }

    /// Gives several chains back in one step: the driver sees all of them used or none, as it
    /// must with the buffers of one network frame (VIRTIO 1.3, 5.1.6.4.1).
    pub fn complete_together(&mut self, used: &[(u16, u32)]) {
        let Some(((last_head, last_written), others)) = used.split_last() else { return };
        // The elements come first, then one store of the index publishes them.
        let mut next = Wrapping(self.ring.next_used());
        let size = self.ring.size();
        for (head, written) in others {
            let slot = u64::from(next.0 % size);
            // Little-endian: the head in the low half, the length in the high one.
            let element = (u64::from(*written) << 32 | u64::from(*head)).to_le();
            let at = GuestAddress(self.ring.used_ring() + USED_RING + slot * USED_ELEMENT);
            if self.ram.write_obj(element, at).is_err() {
                return self.fail("a completion did not fit its used ring");
            }
            next += 1;
        }
        self.ring.set_next_used(next.0);
        self.links.metrics.requests.add(others.len() as u64);
        self.complete(*last_head, *last_written);
    }

    /// Interrupts the driver if it asked to hear of the completions since the last call.
    pub fn signal(&mut self) {
        let now = Wrapping(self.ring.next_used());
        let before = std::mem::replace(&mut self.signalled, now);
        if before == now {
            return;
        }
        match self.wants_interrupt(before, now) {
            Ok(true) => {
                self.links.metrics.interrupts.increment();
                self.links.interrupt.queue_used(self.index);
            }
            Ok(false) => self.links.metrics.interrupts_suppressed.increment(),
            Err(_) => self.fail("its rings left guest memory"),
        }
    }

    /// Whether the driver asked to be interrupted when the used index goes from `before` to `now`
    /// (VIRTIO 1.3, 2.7.7).
    fn wants_interrupt(
        &self,
        before: Wrapping<u16>,
        now: Wrapping<u16>,
    ) -> Result<bool, GuestMemoryError> {
        // The completions must be visible before the driver's wish is read.
        fence(Ordering::SeqCst);
        let available = self.ring.avail_ring();
        if self.event_idx {
            let at = available + AVAILABLE_RING + u64::from(self.ring.size()) * AVAILABLE_ELEMENT;
            let event: u16 = self.ram.load(GuestAddress(at), Ordering::Relaxed)?;
            Ok(now - Wrapping(u16::from_le(event)) - Wrapping(1) < now - before)
        } else {
            let flags: u16 = self.ram.load(GuestAddress(available), Ordering::Relaxed)?;
            Ok(u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0)
        }
    }

    /// How many chains wait, without taking them; 0 where the ring is broken.
    pub fn waiting(&self) -> u16 {
        let available = self.ring.avail_idx(&*self.ram, Ordering::Acquire);
        available.map_or(0, |a| (a - Wrapping(self.ring.next_avail())).0)
    }

    fn fail(&mut self, reason: &str) {
        if !self.broken {
            self.broken = true;
            self.links.interrupt.needs_reset(&format!("queue {}: {reason}", self.index));
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("index", &self.index).field("state", &self.state()).finish()
    }
}

enum Taken {
    Chain(Chain),
    Dropped,
    Empty,
}

/// How a descriptor chain broke the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum ChainFault {
    #[error("the chain is empty, loops, is cut short or exceeds 4 GiB")]
    Broken,
    #[error("a readable descriptor follows a writable one")]
    Order,
}

impl Chain {
    fn collect(
        head: u16,
        descriptors: impl Iterator<Item = Descriptor>,
        ram: &Arc<GuestRam>,
    ) -> Result<Self, ChainFault> {
        let mut chain = Self {
            head,
            readable: Buffers::new(Arc::clone(ram)),
            writable: Buffers::new(Arc::clone(ram)),
        };
        // The iterator ends early where the chain loops or leaves its table: its last descriptor
        // then still has a successor.
        let mut complete = false;
        let mut seen_writable = false;
        for descriptor in descriptors {
            complete = !descriptor.has_next();
            if descriptor.is_write_only() {
                seen_writable = true;
                chain.writable.push(descriptor.addr(), descriptor.len() as usize);
            } else if seen_writable {
                return Err(ChainFault::Order);
            } else {
                chain.readable.push(descriptor.addr(), descriptor.len() as usize);
            }
        }
        complete.then_some(chain).ok_or(ChainFault::Broken)
    }
}

fn warn_limited(index: u16, head: u16, fault: ChainFault) {
    static SEEN: Occurrences = Occurrences::new();
    if let Some(seen) = SEEN.next() {
        warn!("queue {index}: dropped chain {head}: {fault} (malformed chains so far: {seen})");
    }
}

#[cfg(test)]
mod tests;
