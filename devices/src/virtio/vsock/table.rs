//! All connections of a device: where they are kept, how they are found, and whose turn is next.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::packet::Key;

/// Bytes granted to each of the first connections.
const LARGE_WINDOW: u32 = 256 << 10;
/// Bytes granted to each connection beyond [`LARGE_WINDOWS`].
const SMALL_WINDOW: u32 = 32 << 10;
/// Connections that are granted much at a time. With 1,024 connections the guest can so make the
/// host buffer 46 MiB at most.
const LARGE_WINDOWS: usize = 64;
/// Host ports of connections that host programs open: far from those that programs listen on.
const HOST_PORTS: std::ops::Range<u32> = 1 << 30..1 << 31;

/// A connection's place in the table.
pub(super) type Slot = u32;

/// The connections of a device.
pub(super) struct Table {
    slots: Vec<Option<Connection>>,
    free: Vec<Slot>,
    by_key: HashMap<Key, Slot>,
    /// Who waits for buffers of the guest.
    line: VecDeque<Slot>,
    large_windows: usize,
    next_host_port: u32,
    limit: usize,
}

impl Table {
    /// Room for `limit` connections; memory is taken as they come.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            line: VecDeque::new(),
            large_windows: 0,
            next_host_port: HOST_PORTS.start,
            limit,
        }
    }

    /// Connections in the table.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is room for no more.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// The window that the next connection is to grant.
    pub(super) fn next_window(&self) -> u32 {
        if self.large_windows < LARGE_WINDOWS { LARGE_WINDOW } else { SMALL_WINDOW }
    }

    /// Adds a connection, under its key if it has one.
    pub(super) fn insert(&mut self, connection: Connection) -> Slot {
        if connection.window() == LARGE_WINDOW {
            self.large_windows += 1;
        }
        let key = connection.key;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() as Slot - 1
            }
        };
        if let Some(key) = key {
            self.by_key.insert(key, slot);
        }
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(connection);
        }
        slot
    }

    /// The connection in `slot`.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Where the connection `key` is.
    pub(super) fn find(&self, key: Key) -> Option<Slot> {
        self.by_key.get(&key).copied()
    }

    /// Makes a key for a connection to the guest's port, and the one in `slot` found by it.
    pub(super) fn name(&mut self, slot: Slot, guest_port: u32) -> Key {
        // There are more ports than connections, so one is free.
        loop {
            let host_port = self.next_host_port;
            self.next_host_port =
                if host_port + 1 == HOST_PORTS.end { HOST_PORTS.start } else { host_port + 1 };
            let key = Key { guest_port, host_port };
            if let Entry::Vacant(entry) = self.by_key.entry(key) {
                entry.insert(slot);
                return key;
            }
        }
    }

    /// Packets of the guest no longer reach the connection.
    pub(super) fn forget_name(&mut self, slot: Slot) {
        if let Some(key) = self.get_mut(slot).and_then(|c| c.key.take()) {
            self.by_key.remove(&key);
        }
    }

    /// Drops a connection.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.forget_name(slot);
        let Some(connection) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        if connection.queued {
            self.line.retain(|s| *s != slot);
        }
        if connection.window() == LARGE_WINDOW {
            self.large_windows -= 1;
        }
        self.free.push(slot);
    }

    /// Puts a connection in line, unless it is there.
    pub(super) fn queue(&mut self, slot: Slot) {
        if let Some(connection) = self.get_mut(slot)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.line.push_back(slot);
        }
    }

    /// Takes the first in line.
    pub(super) fn next_in_line(&mut self) -> Option<Slot> {
        let slot = self.line.pop_front()?;
        if let Some(connection) = self.get_mut(slot) {
            connection.queued = false;
        }
        Some(slot)
    }

    /// Puts back who was taken from the line and could not be served.
    pub(super) fn first_again(&mut self, slot: Slot) {
        if let Some(connection) = self.get_mut(slot)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.line.push_front(slot);
        }
    }

    /// Whether anybody is in line.
    pub(super) fn has_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// The slots in use whose connections are past their deadline.
    pub(super) fn expired(&self, now: Instant) -> Vec<Slot> {
        let late = |c: &Connection| c.deadline.is_some_and(|d| d <= now);
        self.numbered().filter(|(_, c)| late(c)).map(|(slot, _)| slot).collect()
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.numbered().filter_map(|(_, c)| c.deadline).min()
    }

    /// Moves all deadlines: `time` did not count.
    pub(super) fn postpone(&mut self, time: Duration) {
        for connection in self.slots.iter_mut().flatten() {
            connection.deadline = connection.deadline.map(|d| d + time);
        }
    }

    /// All slots in use.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.numbered().map(|(slot, _)| slot).collect()
    }

    fn numbered(&self) -> impl Iterator<Item = (Slot, &Connection)> {
        self.slots.iter().enumerate().filter_map(|(i, c)| Some((i as Slot, c.as_ref()?)))
    }
}
