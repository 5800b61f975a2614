//! Carries input from a character stream to the serial port.

use std::io;
use std::sync::Arc;

use log::error;
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;

use super::serial::SerialPort;
use crate::char::GuestEnd;
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::queue::{Queue, QueueState};

/// Token: the stream has input.
const INPUT: u32 = 0;
/// Token: the port has room.
const ROOM: u32 = 1;
/// Bytes carried at once: the port's own buffer.
const CHUNK: usize = 64;

/// The handler. It serves no queue.
pub struct SerialInput {
    port: Arc<SerialPort>,
    stream: GuestEnd,
    room: EventFd,
    /// Taken from the stream, and not yet by the port.
    waiting: Vec<u8>,
}

impl SerialInput {
    /// Carries what `stream` has to `port`.
    pub fn new(port: Arc<SerialPort>, stream: GuestEnd) -> io::Result<Self> {
        let room = port.room_event()?;
        Ok(Self { port, stream, room, waiting: Vec::with_capacity(CHUNK) })
    }

    /// Begins. To be called once, on the loop.
    pub fn start(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.watch(self.stream.event(), INPUT, EventSet::IN)?;
        cx.watch(&self.room, ROOM, EventSet::IN)?;
        self.carry();
        Ok(())
    }

    fn carry(&mut self) {
        loop {
            if self.waiting.is_empty() {
                let mut chunk = [0; CHUNK];
                let count = self.stream.read(&mut chunk);
                self.waiting.extend_from_slice(chunk.get(..count).unwrap_or_default());
            }
            let taken = self.port.input(&self.waiting);
            self.waiting.drain(..taken);
            if taken == 0 {
                return;
            }
        }
    }
}

impl Handler for SerialInput {
    fn start_queue(&mut self, queue: Queue, _: &mut Context<'_>) -> Result<(), StartQueueError> {
        error!("the serial port has no queue {}", queue.index());
        Ok(())
    }

    fn stop_queue(&mut self, _: u16, _: &mut Context<'_>) -> Option<QueueState> {
        None
    }

    fn kicked(&mut self, _: u16, _: &mut Context<'_>) {}

    fn ready(&mut self, token: u32, _: EventSet, _: &mut Context<'_>) {
        match token {
            INPUT => self.stream.clear_event(),
            // Empty only if somebody else cleared it.
            _ => drop(self.room.read()),
        }
        self.carry();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::super::testing::Edges;
    use super::*;
    use crate::bus::BusDevice;
    use crate::char::{Backend, Stream};
    use crate::virtio::event_loop::EventLoop;

    #[test]
    fn long_input_arrives_whole_and_in_order() {
        let (event_loop, thread) = EventLoop::spawn("test", || {}).unwrap();
        let (mut user, host) = UnixStream::pair().unwrap();
        let backend = Backend::streams(host.as_fd(), host.as_fd()).unwrap();
        let (stream, _keep) = Stream::start(backend, 4096, &event_loop).unwrap();
        let line = Arc::new(Edges::default());
        let output = Box::new(stream.clone());
        let port = Arc::new(SerialPort::new(line, output, None).unwrap());
        let remote = event_loop.add(SerialInput::new(port.clone(), stream).unwrap()).unwrap();
        remote.call(SerialInput::start).unwrap().unwrap();
        let sent: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        user.write_all(&sent).unwrap();
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let (mut status, mut byte) = ([0], [0]);
            port.read(5, &mut status);
            if status[0] & 1 == 1 {
                port.read(0, &mut byte);
                received.push(byte[0]);
            } else {
                // The carrier gets its turn.
                remote.call(|_, _| ()).unwrap();
            }
        }
        assert_eq!(received, sent);
        event_loop.end();
        thread.join().unwrap();
    }
}
