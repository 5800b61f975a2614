//! The driver's side of one virtqueue, for tests and fuzz targets: builds rings in real guest
//! memory and reads what the device made of them.

use std::num::Wrapping;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use virtio_bindings::virtio_ring::{VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::device::Interrupt;
use super::queue::{Queue, QueueLayout, QueueLinks, QueueState};
use crate::memory::{GuestRam, Memory};
use crate::metrics::QueueMetrics;

/// Bytes of guest memory of a fake driver, from address 0.
pub const RAM_SIZE: usize = 64 << 20;
/// Where free guest memory begins, above the rings.
pub const DATA: u64 = 1 << 20;

/// One descriptor to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Readable by the device: address and length.
    Read(u64, u32),
    /// Writable by the device: address and length.
    Write(u64, u32),
}

/// Counts what the device signalled.
#[derive(Debug, Default)]
pub struct FakeInterrupt {
    /// Used-buffer notifications, all queues.
    pub used: AtomicU64,
    /// Configuration changes.
    pub config: AtomicU64,
    /// Reasons for which the device asked for a reset.
    pub resets: Mutex<Vec<String>>,
}

impl Interrupt for FakeInterrupt {
    fn queue_used(&self, _index: u16) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }
    fn config_changed(&self) {
        self.config.fetch_add(1, Ordering::Relaxed);
    }
    fn needs_reset(&self, reason: &str) {
        self.resets.lock().expect("no panics hold it").push(reason.to_owned());
    }
}

/// A driver with one queue of its own. Several of them can share memory: see
/// [`sibling`](Self::sibling).
pub struct FakeDriver {
    /// The guest memory that the queue lies in.
    pub memory: Memory,
    /// What the device signalled.
    pub interrupt: Arc<FakeInterrupt>,
    /// What the device counted.
    pub metrics: Arc<QueueMetrics>,
    /// The driver's doorbell.
    pub kick: Arc<EventFd>,
    /// Where the rings lie.
    pub layout: QueueLayout,
    index: u16,
    event_idx: bool,
    next_descriptor: u16,
    available: Wrapping<u16>,
    seen_used: Wrapping<u16>,
}

impl FakeDriver {
    /// A queue of index 0 and `size` descriptors, in memory of its own.
    pub fn new(size: u16) -> Self {
        let ram = GuestRam::from_ranges(&[(GuestAddress(0), RAM_SIZE)]).expect("memory maps");
        Self::in_memory(Memory::new(ram), Arc::default(), 0, size)
    }

    /// A further queue of the same device: the same memory and interrupt.
    pub fn sibling(&self, index: u16, size: u16) -> Self {
        Self::in_memory(self.memory.clone(), Arc::clone(&self.interrupt), index, size)
    }

    fn in_memory(memory: Memory, interrupt: Arc<FakeInterrupt>, index: u16, size: u16) -> Self {
        let base = 0x1_0000 * u64::from(index);
        assert!(base + 0x1_0000 <= DATA && size <= 1024, "the rings fit below DATA");
        let layout =
            QueueLayout { size, descriptors: base, available: base + 0x8000, used: base + 0xa000 };
        Self {
            memory,
            interrupt,
            metrics: Arc::default(),
            kick: Arc::new(EventFd::new(EFD_NONBLOCK).expect("eventfd")),
            layout,
            index,
            event_idx: false,
            next_descriptor: 0,
            available: Wrapping(0),
            seen_used: Wrapping(0),
        }
    }

    /// Negotiates EVENT_IDX for queues made later.
    pub fn with_event_idx(mut self) -> Self {
        self.event_idx = true;
        self
    }

    /// The device's end, starting at `state`.
    pub fn queue_at(&self, state: QueueState) -> Queue {
        let links = QueueLinks {
            memory: self.memory.clone(),
            kick: Arc::clone(&self.kick),
            interrupt: self.interrupt.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        Queue::new(self.index, self.layout, self.event_idx, state, links).expect("valid layout")
    }

    /// The device's end of a fresh queue.
    pub fn queue(&self) -> Queue {
        self.queue_at(QueueState::default())
    }

    /// Writes bytes to guest memory.
    pub fn write(&self, addr: u64, data: &[u8]) {
        self.memory.memory().write_slice(data, GuestAddress(addr)).expect("in memory");
    }

    /// Reads bytes of guest memory.
    pub fn read(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.memory.memory().read_slice(&mut data, GuestAddress(addr)).expect("in memory");
        data
    }

    /// Writes one raw descriptor into the table at guest address `table`.
    pub fn write_descriptor(
        &self,
        table: u64,
        at: u16,
        (addr, len, flags, next): (u64, u32, u32, u16),
    ) {
        let mut raw = [0; 16];
        raw[..8].copy_from_slice(&addr.to_le_bytes());
        raw[8..12].copy_from_slice(&len.to_le_bytes());
        raw[12..14].copy_from_slice(&(flags as u16).to_le_bytes());
        raw[14..].copy_from_slice(&next.to_le_bytes());
        self.write(table + 16 * u64::from(at), &raw);
    }

    fn write_chain(&self, table: u64, first: u16, size: u16, parts: &[Part]) {
        for (i, part) in parts.iter().enumerate() {
            let (addr, len, write) = match *part {
                Part::Read(addr, len) => (addr, len, 0),
                Part::Write(addr, len) => (addr, len, VRING_DESC_F_WRITE),
            };
            let at = (first + i as u16) % size;
            let next = (at + 1) % size;
            let more = if i + 1 < parts.len() { VRING_DESC_F_NEXT } else { 0 };
            self.write_descriptor(table, at, (addr, len, write | more, next));
        }
    }

    /// Adds a chain and makes it available; returns its head.
    pub fn add(&mut self, parts: &[Part]) -> u16 {
        let head = self.next_descriptor;
        self.write_chain(self.layout.descriptors, head, self.layout.size, parts);
        self.next_descriptor = (head + parts.len() as u16) % self.layout.size;
        self.make_available(head);
        head
    }

    /// Adds a chain through an indirect table at guest address `table`; returns its head.
    pub fn add_indirect(&mut self, table: u64, parts: &[Part]) -> u16 {
        self.write_chain(table, 0, u16::MAX, parts);
        let head = self.next_descriptor;
        let len = 16 * parts.len() as u32;
        self.write_descriptor(
            self.layout.descriptors,
            head,
            (table, len, VRING_DESC_F_INDIRECT, 0),
        );
        self.next_descriptor = (head + 1) % self.layout.size;
        self.make_available(head);
        head
    }

    /// Puts `head` into the available ring.
    pub fn make_available(&mut self, head: u16) {
        let slot = u64::from(self.available.0 % self.layout.size);
        self.write(self.layout.available + 4 + 2 * slot, &head.to_le_bytes());
        self.available += 1;
        self.set_available_index(self.available.0);
    }

    /// Sets the available index, whatever the ring holds.
    pub fn set_available_index(&mut self, index: u16) {
        self.available = Wrapping(index);
        self.write(self.layout.available + 2, &index.to_le_bytes());
    }

    /// Asks to be interrupted when the used index passes `index` (EVENT_IDX).
    pub fn set_used_event(&self, index: u16) {
        let at = self.layout.available + 4 + 2 * u64::from(self.layout.size);
        self.write(at, &index.to_le_bytes());
    }

    /// Completions since the last call: head and written length.
    pub fn used(&mut self) -> Vec<(u16, u32)> {
        let raw = self.read(self.layout.used + 2, 2);
        let end = Wrapping(u16::from_le_bytes([raw[0], raw[1]]));
        let mut list = Vec::new();
        while self.seen_used != end {
            let slot = u64::from(self.seen_used.0 % self.layout.size);
            let raw = self.read(self.layout.used + 4 + 8 * slot, 8);
            let word =
                |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
            list.push((word(0) as u16, word(4)));
            self.seen_used += 1;
        }
        list
    }
}
