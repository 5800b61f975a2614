//! Packets that the guest sends.

use std::time::Instant;

use log::debug;
use smallvec::SmallVec;

use super::{BURST, FIRST_SOCKET, MAX_REFUSALS, VsockHandler, socket_events};
use crate::virtio::vsock::config::TX;
use crate::virtio::vsock::connection::Connection;
use crate::virtio::vsock::packet::{HEADER_LEN, HOST_CID, Header, Key, Op, TYPE_STREAM};
use crate::virtio::vsock::table::Slot;
use crate::virtio::{Buffers, Queue, event_loop::Context};

/// Bytes written to a socket in one call, about.
const RUN_BYTES: usize = 128 << 10;
/// Ranges of guest memory written in one call, about; the kernel takes 1,024.
const RUN_RANGES: usize = 512;

/// Data of packets of one connection that follow each other, to be written in one call: of many
/// small packets each write would cost more than its bytes, and wake the host program.
struct Run {
    key: Key,
    slot: Slot,
    data: Buffers,
    /// Chains that hold the data.
    heads: SmallVec<[u16; 32]>,
    /// When the burst began that took them.
    started: Instant,
}

impl Run {
    /// Whether a packet goes on where this ends.
    fn goes_on_with(&self, header: &Header, data: &Buffers) -> bool {
        self.data.shares_memory(data)
            && header.op.get() == Op::Data as u16
            && Key::of(header) == self.key
            && self.data.len() < RUN_BYTES
            && self.data.ranges() < RUN_RANGES
    }
}

impl VsockHandler {
    /// Takes what the guest sent, within bounds, and delivers the answers.
    pub(super) fn take_packets(&mut self, cx: &mut Context<'_>) {
        let Some(mut tx) = self.tx.take() else { return };
        let mut taken = 0;
        let mut run: Option<Run> = None;
        let started = Instant::now();
        while taken < BURST && self.refusals.len() < MAX_REFUSALS {
            let Some(mut chain) = tx.next() else { break };
            taken += 1;
            // Apart, so that data that are not memory do not hide whose they are.
            let data = chain.readable.split_off(HEADER_LEN);
            // The header is read once: what is judged is what is used.
            let Ok(header) = chain.readable.take::<Header>() else {
                tx.metrics().malformed.increment();
                give_back(&mut tx, &[chain.head], started);
                continue;
            };
            if !run.as_ref().is_some_and(|r| r.goes_on_with(&header, &data)) {
                self.write(run.take(), &mut tx, cx);
            }
            match (self.packet(&header, data, cx), &mut run) {
                (None, _) => give_back(&mut tx, &[chain.head], started),
                (Some((_, data)), Some(run)) => {
                    run.data.append(data);
                    run.heads.push(chain.head);
                }
                (Some((slot, data)), None) => {
                    let heads = SmallVec::from_slice(&[chain.head]);
                    run = Some(Run { key: Key::of(&header), slot, data, heads, started });
                }
            }
        }
        self.write(run, &mut tx, cx);
        tx.signal();
        self.tx = Some(tx);
        if taken == BURST {
            cx.kick_again(TX);
        }
        self.deliver(cx);
    }

    /// Hands a run's data to the host program and its chains back to the driver.
    fn write(&mut self, run: Option<Run>, tx: &mut Queue, cx: &mut Context<'_>) {
        let Some(run) = run else { return };
        tx.metrics().bytes_from_guest.add(run.data.len() as u64);
        if let Some(connection) = self.table.get_mut(run.slot) {
            connection.write(run.data, &self.env);
        }
        give_back(tx, &run.heads, run.started);
        self.settle(run.slot, cx);
    }

    /// Deals with a packet. Data for a host program are returned, with its connection's slot.
    fn packet(
        &mut self,
        header: &Header,
        data: Buffers,
        cx: &mut Context<'_>,
    ) -> Option<(Slot, Buffers)> {
        let genuine = header.kind.get() == TYPE_STREAM
            && header.src_cid.get() == self.env.cid
            && header.dst_cid.get() == HOST_CID;
        let op = Op::try_from(header.op.get());
        let (true, Ok(op)) = (genuine, op) else {
            self.env.metrics.violations.increment();
            self.refuse_packet(header);
            return None;
        };
        match self.table.find(Key::of(header)) {
            Some(slot) => {
                let admitted = self.table.get_mut(slot)?.packet(op, header, data, &self.env);
                self.settle(slot, cx);
                return admitted.map(|data| (slot, data));
            }
            None if op == Op::Request => self.connect(header, cx),
            None => self.refuse_packet(header),
        }
        None
    }

    fn refuse_packet(&mut self, header: &Header) {
        self.refusals.extend(header.refusal(self.env.cid));
    }

    /// Connects the guest to the host program that it asks for.
    fn connect(&mut self, request: &Header, cx: &mut Context<'_>) {
        let full = self.table.is_full();
        let socket = (!full).then(|| self.sockets.connect(request.dst_port.get()));
        let Some(Ok(socket)) = socket else {
            if let Some(Err(e)) = socket {
                debug!("refused a connection of the guest: {e}");
            }
            self.env.metrics.refused.increment();
            return self.refuse_packet(request);
        };
        let window = self.table.next_window();
        let slot = self.table.insert(Connection::from_guest(socket, request, window));
        if self.watch_socket(slot, cx) {
            self.env.metrics.from_guest.increment();
        }
        self.settle(slot, cx);
    }

    /// Begins to watch a new connection's socket; ends the connection if that fails.
    pub(super) fn watch_socket(&mut self, slot: Slot, cx: &mut Context<'_>) -> bool {
        let Some(connection) = self.table.get_mut(slot) else { return false };
        let Some(fd) = connection.raw_fd() else { return false };
        match cx.watch(&fd, FIRST_SOCKET + slot, socket_events(false)) {
            Ok(()) => true,
            Err(e) => {
                debug!("failed to watch a socket: {e}");
                self.env.metrics.refused.increment();
                connection.abort(&self.env);
                false
            }
        }
    }
}

/// Gives chains back to the driver that were taken in a burst begun at `started`.
fn give_back(tx: &mut Queue, heads: &[u16], started: Instant) {
    let latency = started.elapsed();
    for head in heads {
        tx.metrics().latency.record(latency);
        tx.complete(*head, 0);
    }
}
