//! What host programs do.

use std::time::{Duration, Instant};

use log::warn;
use vmm_sys_util::epoll::EventSet;

use super::{LISTENER, VsockHandler};
use crate::virtio::event_loop::Context;
use crate::virtio::vsock::connection::Connection;
use crate::virtio::vsock::table::Slot;

/// Host programs accepted before others on the loop have their turn.
const ACCEPTS: usize = 64;
/// How long none is accepted after the system had no descriptors left: without a pause the
/// listener, still ready, would keep the loop busy.
pub(in super::super) const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

impl VsockHandler {
    pub(super) fn accept(&mut self, cx: &mut Context<'_>) {
        for _ in 0..ACCEPTS {
            let socket = match self.sockets.accept() {
                Ok(Some(socket)) => socket,
                Ok(None) => return,
                Err(e) => {
                    warn!("failed to accept a connection to the socket device: {e}");
                    return self.pause_accepting(cx);
                }
            };
            if self.table.is_full() {
                // Closed at once: the host program sees that it was refused.
                self.env.metrics.refused.increment();
                continue;
            }
            let window = self.table.next_window();
            let slot = self.table.insert(Connection::from_host(socket, window, &self.env));
            self.watch_socket(slot, cx);
            self.settle(slot, cx);
        }
    }

    /// Accepts nobody for a while.
    pub(in super::super) fn pause_accepting(&mut self, cx: &mut Context<'_>) {
        let at = Instant::now() + ACCEPT_PAUSE;
        self.watch_listener(EventSet::empty(), cx);
        self.accept_again = Some(at);
        if self.alarm.is_none_or(|a| at < a) {
            self.set_alarm(Some(at));
        }
    }

    pub(super) fn watch_listener(&mut self, events: EventSet, cx: &mut Context<'_>) {
        if self.watching
            && let Err(e) = cx.rewatch(&self.sockets, LISTENER, events)
        {
            warn!("failed to change what is watched of the socket device's listener: {e}");
        }
    }

    pub(super) fn socket_ready(&mut self, slot: Slot, events: EventSet, cx: &mut Context<'_>) {
        // The event may be of a socket that was closed since; its slot's new owner, if any, then
        // looks in vain, which does no harm.
        let Some(connection) = self.table.get_mut(slot) else { return };
        if let Some(guest_port) = connection.host_ready(events, &self.env) {
            let key = self.table.name(slot, guest_port);
            if let Some(connection) = self.table.get_mut(slot) {
                connection.request(key);
            }
        }
        self.settle(slot, cx);
    }
}
