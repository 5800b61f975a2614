//! Packets that the guest sends.

use log::debug;

use super::{BURST, FIRST_SOCKET, MAX_REFUSALS, VsockHandler, socket_events};
use crate::virtio::vsock::config::TX;
use crate::virtio::vsock::connection::Connection;
use crate::virtio::vsock::packet::{HEADER_LEN, HOST_CID, Header, Key, Op, TYPE_STREAM};
use crate::virtio::{Buffers, event_loop::Context};

impl VsockHandler {
    /// Takes what the guest sent, within bounds, and delivers the answers.
    pub(super) fn take_packets(&mut self, cx: &mut Context<'_>) {
        let Some(mut tx) = self.tx.take() else { return };
        let mut taken = 0;
        while taken < BURST && self.refusals.len() < MAX_REFUSALS {
            let Some(mut chain) = tx.next() else { break };
            taken += 1;
            // Apart, so that data that are not memory do not hide whose they are.
            let data = chain.readable.split_off(HEADER_LEN);
            // The header is read once: what is judged is what is used.
            match chain.readable.take::<Header>() {
                Ok(header) => {
                    tx.metrics().bytes_from_guest.add(u64::from(header.len.get()));
                    self.packet(&header, data, cx);
                }
                Err(_) => tx.metrics().malformed.increment(),
            }
            tx.complete(chain.head, 0);
        }
        if taken > 0 {
            tx.signal();
        }
        self.tx = Some(tx);
        if taken == BURST {
            cx.kick_again(TX);
        }
        self.deliver(cx);
    }

    fn packet(&mut self, header: &Header, data: Buffers, cx: &mut Context<'_>) {
        let genuine = header.kind.get() == TYPE_STREAM
            && header.src_cid.get() == self.env.cid
            && header.dst_cid.get() == HOST_CID;
        let op = Op::try_from(header.op.get());
        let (true, Ok(op)) = (genuine, op) else {
            self.env.metrics.violations.increment();
            return self.refuse_packet(header);
        };
        match self.table.find(Key::of(header)) {
            Some(slot) => {
                if let Some(connection) = self.table.get_mut(slot) {
                    connection.packet(op, header, data, &self.env);
                }
                self.settle(slot, cx);
            }
            None if op == Op::Request => self.connect(header, cx),
            None => self.refuse_packet(header),
        }
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
    pub(super) fn watch_socket(&mut self, slot: u32, cx: &mut Context<'_>) -> bool {
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
