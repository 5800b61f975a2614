//! One port: its two queues and its stream.

use std::io;

use log::error;
use vmm_sys_util::epoll::EventSet;

use crate::char::GuestEnd;
use crate::virtio::event_loop::Context;
use crate::virtio::queue::{Chain, Queue, QueueState};

/// Bytes copied at once.
const CHUNK: usize = 4096;
/// Chunks moved before others on the loop get their turn.
pub(super) const BURST: usize = 64;

/// A direction, seen from the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Input: the driver offers buffers.
    Receive,
    /// Output.
    Transmit,
}

/// A port of a console.
pub(super) struct Port {
    stream: GuestEnd,
    /// The token under which the stream's event is watched.
    token: u32,
    receive: Option<Queue>,
    transmit: Option<Queue>,
    /// Output that is written in part: what is left of it.
    sending: Option<Chain>,
    /// Whether somebody in the guest would read input: what is sent before is lost there.
    pub(super) is_open: bool,
}

/// What ended a burst of output.
enum Sent {
    /// There is nothing more.
    All,
    /// The stream will tell when it takes more.
    Held,
    /// It was long enough.
    Burst,
}

impl Port {
    /// A port without queues, whose stream is watched under `token`.
    pub(super) fn new(stream: GuestEnd, token: u32, is_open: bool) -> Self {
        Self { stream, token, receive: None, transmit: None, sending: None, is_open }
    }

    /// Takes a queue into service.
    pub(super) fn start(
        &mut self,
        direction: Direction,
        queue: Queue,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        if self.receive.is_none() && self.transmit.is_none() {
            cx.watch(self.stream.event(), self.token, EventSet::IN)?;
        }
        match direction {
            Direction::Receive => self.receive = Some(queue),
            Direction::Transmit => self.transmit = Some(queue),
        }
        Ok(())
    }

    /// Gives a queue up.
    pub(super) fn stop(
        &mut self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Option<QueueState> {
        let state = match direction {
            Direction::Receive => self.receive.take().map(|q| q.state()),
            Direction::Transmit => self.end_transmit(),
        }?;
        if self.receive.is_none()
            && self.transmit.is_none()
            && let Err(e) = cx.unwatch(self.stream.event())
        {
            error!("console: failed to stop watching its stream: {e}");
        }
        Some(state)
    }

    /// The driver added buffers.
    pub(super) fn kicked(&mut self, direction: Direction, cx: &mut Context<'_>) {
        match direction {
            Direction::Receive => self.receive(cx),
            Direction::Transmit => self.transmit(cx),
        }
    }

    /// The stream has input, or room again.
    pub(super) fn ready(&mut self, cx: &mut Context<'_>) {
        self.stream.clear_event();
        self.receive(cx);
        self.transmit(cx);
    }

    fn transmit(&mut self, cx: &mut Context<'_>) {
        let Some(mut queue) = self.transmit.take() else { return };
        let (index, end) = (queue.index(), self.send_burst(&mut queue));
        queue.signal();
        if matches!(end, Sent::Burst) {
            cx.kick_again(index);
        }
        self.transmit = Some(queue);
    }

    fn send_burst(&mut self, queue: &mut Queue) -> Sent {
        for _ in 0..BURST {
            let Some(mut chain) = self.sending.take().or_else(|| queue.next()) else {
                return Sent::All;
            };
            match self.send_chunk(queue, &mut chain) {
                Ok(true) if chain.readable.is_empty() => queue.complete(chain.head, 0),
                Ok(more) => {
                    self.sending = Some(chain);
                    if !more {
                        return Sent::Held;
                    }
                }
                Err(_) => {
                    queue.metrics().errors.increment();
                    queue.complete(chain.head, 0);
                }
            }
        }
        Sent::Burst
    }

    /// Writes the start of what is left of `chain`. Whether the stream would take more.
    fn send_chunk(&self, queue: &Queue, chain: &mut Chain) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        let len = chain.readable.copy_to(&mut chunk)?;
        let written = self.stream.try_write(&chunk[..len]);
        chain.readable.advance(written);
        queue.metrics().bytes_from_guest.add(written as u64);
        Ok(written == len)
    }

    /// Gives the guest the input that waits.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>) {
        let Some(queue) = self.receive.as_mut().filter(|_| self.is_open) else { return };
        let mut chunk = [0; CHUNK];
        for _ in 0..BURST {
            // Only who has input takes a buffer: one for which there is none must stay.
            if self.stream.input_waiting() == 0 {
                return queue.signal();
            }
            let Some(chain) = queue.next() else { return queue.signal() };
            if !chain.writable.is_valid() || chain.writable.is_empty() {
                queue.metrics().errors.increment();
                queue.complete(chain.head, 0);
                continue;
            }
            let len = self.stream.read(&mut chunk[..chain.writable.len().min(CHUNK)]);
            // The buffer was just found to be memory and long enough.
            let written = chain.writable.copy_from(&chunk[..len]).unwrap_or(0);
            queue.metrics().bytes_to_guest.add(written as u64);
            queue.complete(chain.head, written as u32);
        }
        queue.signal();
        cx.kick_again(queue.index());
    }

    /// Gives up the transmit queue. Output that was written in part is written to its end, as far
    /// as the stream keeps it, so that its start does not come twice.
    fn end_transmit(&mut self) -> Option<QueueState> {
        let mut queue = self.transmit.take()?;
        if let Some(chain) = self.sending.take() {
            let mut rest = chain.readable;
            for _ in 0..BURST {
                let mut chunk = [0; CHUNK];
                let Ok(len @ 1..) = rest.copy_to(&mut chunk) else { break };
                self.stream.write(&chunk[..len]);
                queue.metrics().bytes_from_guest.add(len as u64);
                rest.advance(len);
            }
            queue.complete(chain.head, 0);
            queue.signal();
        }
        Some(queue.state())
    }
}
