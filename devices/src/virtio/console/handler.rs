//! The back of the console: its two queues and the stream.

use std::io;

use log::error;
use vmm_sys_util::epoll::EventSet;

use crate::char::GuestEnd;
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::queue::{Chain, Queue, QueueState};

/// Queue of buffers for input (VIRTIO 1.3 §5.3.2).
pub(super) const RECEIVE: u16 = 0;
/// Queue of output.
pub(super) const TRANSMIT: u16 = 1;
/// The token under which the stream's event is watched.
const STREAM: u32 = 0;
/// Bytes copied at once.
const CHUNK: usize = 4096;
/// Chunks moved before others on the loop get their turn.
pub(super) const BURST: usize = 64;

/// Serves the queues of a console.
pub struct ConsoleHandler {
    stream: GuestEnd,
    receive: Option<Queue>,
    transmit: Option<Queue>,
    /// Output that is written in part: what is left of it.
    sending: Option<Chain>,
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

impl ConsoleHandler {
    /// A handler without queues.
    pub fn new(stream: GuestEnd) -> Self {
        Self { stream, receive: None, transmit: None, sending: None }
    }

    fn transmit(&mut self, cx: &mut Context<'_>) {
        let Some(mut queue) = self.transmit.take() else { return };
        let end = self.send_burst(&mut queue);
        queue.signal();
        if matches!(end, Sent::Burst) {
            cx.kick_again(TRANSMIT);
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

    fn receive(&mut self, cx: &mut Context<'_>) {
        let Some(queue) = &mut self.receive else { return };
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
        cx.kick_again(RECEIVE);
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

    fn watch_stream(&self, cx: &mut Context<'_>) -> io::Result<()> {
        match (&self.receive, &self.transmit) {
            (None, None) => cx.watch(self.stream.event(), STREAM, EventSet::IN),
            _ => Ok(()),
        }
    }
}

impl Handler for ConsoleHandler {
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        let index = queue.index();
        self.watch_stream(cx).map_err(|source| StartQueueError::Host {
            operation: "watch the console's stream",
            index,
            source,
        })?;
        if index == RECEIVE {
            self.receive = Some(queue);
        } else {
            self.transmit = Some(queue);
        }
        Ok(())
    }

    fn stop_queue(&mut self, index: u16, cx: &mut Context<'_>) -> Option<QueueState> {
        let state = match index {
            RECEIVE => self.receive.take().map(|q| q.state()),
            TRANSMIT => self.end_transmit(),
            _ => None,
        }?;
        if self.receive.is_none()
            && self.transmit.is_none()
            && let Err(e) = cx.unwatch(self.stream.event())
        {
            error!("console: failed to stop watching its stream: {e}");
        }
        Some(state)
    }

    fn kicked(&mut self, index: u16, cx: &mut Context<'_>) {
        match index {
            RECEIVE => self.receive(cx),
            _ => self.transmit(cx),
        }
    }

    fn ready(&mut self, _: u32, _: EventSet, cx: &mut Context<'_>) {
        self.stream.clear_event();
        self.receive(cx);
        self.transmit(cx);
    }
}
