//! The back of the device: the three queues, the host's sockets and a timer.

mod from_guest;
mod from_host;

#[cfg(test)]
pub(super) use from_host::ACCEPT_PAUSE;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use log::{debug, warn};
use vmm_sys_util::epoll::EventSet;

use super::config::{EVENT, RX, TX, VsockConfig};
use super::connection::{Env, Served};
use super::delivery::Delivery;
use super::metrics::VsockMetrics;
use super::packet::Header;
use super::table::{Slot, Table};
use crate::rate_limiter::{LimitTimer, Wait};
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::{Queue, QueueState};
use crate::vsock::HostSockets;

/// The machine's listening socket.
const LISTENER: u32 = 0;
/// The deadlines' timer.
const TIMER: u32 = 1;
/// The socket of the connection in slot 0; the others follow.
const FIRST_SOCKET: u32 = 2;
/// Chains dealt with before others on the loop have their turn.
const BURST: usize = 256;
/// Refusals that may wait for buffers of the guest. While so many do, no more of its packets are
/// taken.
const MAX_REFUSALS: usize = 256;
/// The one event that there is: all connections are gone (VIRTIO 1.3, 5.10.6.7).
const TRANSPORT_RESET: u32 = 0;

/// The state machine of a socket device.
pub struct VsockHandler {
    sockets: HostSockets,
    env: Env,
    table: Table,
    rx: Option<Queue>,
    tx: Option<Queue>,
    event: Option<Queue>,
    /// Refusals of packets that belong to no connection.
    refusals: VecDeque<Header>,
    /// An event is due.
    transport_reset: bool,
    timer: LimitTimer,
    /// What the timer is set to.
    alarm: Option<Instant>,
    watching: bool,
    /// When host programs may be accepted again, after the system had no descriptors left.
    accept_again: Option<Instant>,
    /// Since when the guest cannot answer.
    paused: Option<Instant>,
}

impl VsockHandler {
    /// A device without queues. Host programs are accepted once it has them.
    pub fn new(config: &VsockConfig, sockets: HostSockets) -> io::Result<Self> {
        let env = Env {
            cid: config.guest_cid,
            timeouts: config.timeouts,
            metrics: Arc::new(VsockMetrics::default()),
        };
        Ok(Self {
            sockets,
            env,
            table: Table::new(config.max_connections),
            rx: None,
            tx: None,
            event: None,
            refusals: VecDeque::new(),
            transport_reset: false,
            timer: LimitTimer::new()?,
            alarm: None,
            watching: false,
            accept_again: None,
            paused: None,
        })
    }

    /// What is counted.
    pub fn metrics(&self) -> Arc<VsockMetrics> {
        Arc::clone(&self.env.metrics)
    }

    /// Connections at the moment.
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// The guest has reset the device, or was replaced: closes all sockets of host programs.
    /// Those that wait to be accepted stay.
    pub fn reset(&mut self, cx: &mut Context<'_>) {
        for slot in self.table.slots() {
            if let Some(connection) = self.table.get_mut(slot) {
                connection.close(&self.env);
            }
            self.table.remove(slot);
        }
        self.refusals.clear();
        self.transport_reset = false;
        self.accept_again = None;
        self.paused = None;
        if std::mem::take(&mut self.watching) {
            for error in [cx.unwatch(&self.sockets), cx.unwatch(&self.timer)] {
                if let Err(e) = error {
                    warn!("failed to stop watching the sockets of the host: {e}");
                }
            }
        }
    }

    /// Tells the guest that its connections are gone, as after a restore.
    pub fn announce_reset(&mut self, cx: &mut Context<'_>) {
        for slot in self.table.slots() {
            if let Some(connection) = self.table.get_mut(slot) {
                connection.close(&self.env);
            }
            self.settle(slot, cx);
        }
        self.refusals.clear();
        self.transport_reset = true;
        self.send_event();
    }

    fn send_event(&mut self) {
        let Some(queue) = self.event.as_mut().filter(|_| self.transport_reset) else { return };
        while let Some(mut chain) = queue.next() {
            let sent = chain.writable.put(&TRANSPORT_RESET.to_le_bytes()).is_ok();
            queue.complete(chain.head, if sent { 4 } else { 0 });
            queue.signal();
            if sent {
                self.transport_reset = false;
                return;
            }
            queue.metrics().malformed.increment();
        }
    }

    fn is_running(&self) -> bool {
        self.rx.is_some() && self.tx.is_some()
    }

    /// Begins to watch the host and to count time, when both queues of packets are there.
    fn run(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        if !self.watching {
            cx.watch(&self.sockets, LISTENER, EventSet::IN)?;
            cx.watch(&self.timer, TIMER, EventSet::IN)?;
            self.watching = true;
        }
        if let Some(since) = self.paused.take() {
            self.table.postpone(since.elapsed());
            self.set_alarm(self.next_alarm());
        }
        Ok(())
    }

    /// Serves those in line for buffers of the guest.
    fn deliver(&mut self, cx: &mut Context<'_>) {
        if self.refusals.is_empty() && !self.table.has_line() {
            return;
        }
        let Some(mut rx) = self.rx.take() else { return };
        let held_back = self.refusals.len() >= MAX_REFUSALS;
        let mut out = Delivery::new(&mut rx, BURST);
        self.refuse(&mut out);
        while self.refusals.is_empty()
            && !out.is_over()
            && let Some(slot) = self.table.next_in_line()
        {
            let Some(connection) = self.table.get_mut(slot) else { continue };
            let served = connection.serve(&mut out, &self.env);
            if served == Served::NoRoom {
                self.table.first_again(slot);
                break;
            }
            self.settle(slot, cx);
        }
        let over = out.is_over();
        drop(out);
        self.rx = Some(rx);
        if over && (self.table.has_line() || !self.refusals.is_empty()) {
            cx.kick_again(RX);
        }
        if held_back && self.refusals.len() < MAX_REFUSALS {
            cx.kick_again(TX);
        }
    }

    fn refuse(&mut self, out: &mut Delivery<'_>) {
        while let Some(header) = self.refusals.front() {
            let Some(place) = out.take(0) else { return };
            out.finish(place, header);
            self.env.metrics.resets.increment();
            self.refusals.pop_front();
        }
    }

    /// Follows up on whatever happened to a connection.
    fn settle(&mut self, slot: Slot, cx: &mut Context<'_>) {
        let Some(connection) = self.table.get_mut(slot) else { return };
        if connection.is_closed() {
            return self.table.remove(slot);
        }
        let deadline = connection.deadline;
        let needs_room = connection.needs_room();
        if needs_room != connection.watches_room
            && let Some(fd) = connection.raw_fd()
        {
            connection.watches_room = needs_room;
            if let Err(e) = cx.rewatch(&fd, FIRST_SOCKET + slot, socket_events(needs_room)) {
                debug!("failed to change what is watched of a socket: {e}");
                connection.abort(&self.env);
            }
        }
        let wants_service = connection.wants_service();
        if connection.is_draining() {
            self.table.forget_name(slot);
        }
        if wants_service {
            self.table.queue(slot);
        }
        if deadline.is_some_and(|d| self.alarm.is_none_or(|a| d < a)) {
            self.set_alarm(deadline);
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        self.table.next_deadline().into_iter().chain(self.accept_again).min()
    }

    fn set_alarm(&mut self, alarm: Option<Instant>) {
        self.alarm = alarm;
        let set = match alarm {
            Some(at) => self.timer.arm(Wait(at.saturating_duration_since(Instant::now()))),
            None => self.timer.disarm(),
        };
        if let Err(e) = set {
            warn!("failed to set the timer of the socket device: {e}");
        }
    }

    fn alarmed(&mut self, cx: &mut Context<'_>) {
        let now = Instant::now();
        if self.paused.is_some() {
            return self.set_alarm(None);
        }
        for slot in self.table.expired(now) {
            if let Some(connection) = self.table.get_mut(slot) {
                connection.expire(&self.env);
            }
            self.settle(slot, cx);
        }
        if self.accept_again.is_some_and(|at| at <= now) {
            self.accept_again = None;
            self.watch_listener(EventSet::IN, cx);
        }
        self.set_alarm(self.next_alarm());
        self.deliver(cx);
    }
}

/// What is watched of a host program's socket. Edges, so that a socket that cannot be dealt with
/// yet costs nothing; room only where it is lacking, or each read of the host program would wake
/// the loop.
fn socket_events(room: bool) -> EventSet {
    let events = EventSet::IN | EventSet::READ_HANG_UP | EventSet::EDGE_TRIGGERED;
    if room { events | EventSet::OUT } else { events }
}

impl Handler for VsockHandler {
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        let index = queue.index();
        match index {
            RX => self.rx = Some(queue),
            TX => self.tx = Some(queue),
            _ => self.event = Some(queue),
        }
        self.run(cx).map_err(|source| StartQueueError::Host {
            operation: "watch the host's sockets",
            index,
            source,
        })
    }

    fn stop_queue(&mut self, index: u16, _: &mut Context<'_>) -> Option<QueueState> {
        if self.is_running() && index != EVENT {
            self.paused = Some(Instant::now());
        }
        // All packets are dealt with in the call that takes them, so none is in flight.
        let queue = match index {
            RX => self.rx.take(),
            TX => self.tx.take(),
            _ => self.event.take(),
        };
        queue.map(|q| q.state())
    }

    fn kicked(&mut self, index: u16, cx: &mut Context<'_>) {
        match index {
            RX => self.deliver(cx),
            TX => self.take_packets(cx),
            _ => self.send_event(),
        }
    }

    fn ready(&mut self, token: u32, events: EventSet, cx: &mut Context<'_>) {
        match token {
            LISTENER => self.accept(cx),
            TIMER => self.alarmed(cx),
            _ => self.socket_ready(token - FIRST_SOCKET, events, cx),
        }
        self.deliver(cx);
    }
}
