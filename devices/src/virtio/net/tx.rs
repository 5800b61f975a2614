//! Frames from the guest: one `writev` each, straight from the driver's buffers.

use std::io;
use std::os::fd::BorrowedFd;

use log::warn;
use zerocopy::{FromBytes, IntoBytes};

use super::detour::{Detour, PEEK};
use super::handler::{Port, Progress};
use super::header::{ETHERNET_HEADER_LEN, HEADER_LEN, LARGE_FRAME, NetHeader};
use crate::net::is_gone;
use crate::occurrences::Occurrences;
use crate::virtio::buffers::{Buffers, MAX_IOVECS};
use crate::virtio::queue::{Chain, Queue, QueueState};

/// Frames taken in one go.
const BURST: usize = 256;

/// The longest frame with its header: the largest that may be received, and two VLAN tags.
const MAX_FRAME: usize = LARGE_FRAME + 8;

/// A running transmit queue.
pub(super) struct Transmitter {
    queue: Queue,
    /// The rate limit has been charged for the next frame already.
    paid: bool,
}

/// What became of a frame.
enum Sent {
    Backend,
    Detour,
    Malformed,
    Dropped,
    Blocked,
    Gone(io::Error),
}

impl Transmitter {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue, paid: false }
    }

    pub(super) fn index(&self) -> u16 {
        self.queue.index()
    }

    /// Sends what waits, until there is no more, or the backend or the rate limit ends it. With
    /// `discard`, frames go nowhere. `detoured` is set when the detour got a frame.
    pub(super) fn run(&mut self, port: &Port, discard: bool, detoured: &mut bool) -> Progress {
        let progress = self.burst(port, discard, detoured);
        self.queue.signal();
        progress
    }

    fn burst(&mut self, port: &Port, discard: bool, detoured: &mut bool) -> Progress {
        for _ in 0..BURST {
            let Some(chain) = self.queue.next() else { return Progress::Idle };
            let frame_len = chain.readable.len().saturating_sub(HEADER_LEN);
            if !self.paid
                && let Err(wait) = port.tx_limiter.consume(1, frame_len as u64)
            {
                self.queue.put_back();
                self.queue.metrics().throttled.increment();
                return Progress::Throttled(wait);
            }
            self.paid = false;
            let sent = if discard { Sent::Dropped } else { send(port, &chain) };
            match sent {
                Sent::Backend => port.metrics.tx_frames.increment(),
                Sent::Detour => {
                    port.metrics.detour_taken.increment();
                    *detoured = true;
                }
                Sent::Malformed => {
                    port.metrics.tx_malformed.increment();
                    self.queue.metrics().malformed.increment();
                }
                Sent::Dropped => {
                    port.metrics.tx_dropped.increment();
                    self.queue.metrics().errors.increment();
                }
                Sent::Blocked => {
                    self.queue.put_back();
                    self.paid = true;
                    return Progress::Blocked;
                }
                Sent::Gone(error) => {
                    self.queue.put_back();
                    self.paid = true;
                    return Progress::Gone(error);
                }
            }
            self.queue.metrics().bytes_from_guest.add(chain.readable.len() as u64);
            self.queue.complete(chain.head, 0);
        }
        Progress::Again
    }

    /// Gives the queue up; nothing is in flight.
    pub(super) fn stop(self) -> QueueState {
        self.queue.state()
    }
}

fn send(port: &Port, chain: &Chain) -> Sent {
    let frame = &chain.readable;
    // What is judged is a copy: header, and the beginning of the frame for the detour.
    let mut start = [0; HEADER_LEN + PEEK];
    let peek = if port.detour.is_some() { start.len() } else { HEADER_LEN };
    let Some(wanted) = start.get_mut(..peek) else { return Sent::Malformed };
    let shaped = frame.len() >= HEADER_LEN + ETHERNET_HEADER_LEN
        && frame.len() <= MAX_FRAME
        && frame.ranges() <= MAX_IOVECS
        && chain.writable.is_empty();
    // Memory that is none fails here.
    let Some(copied) = shaped.then(|| frame.copy_to(wanted).ok()).flatten() else {
        return Sent::Malformed;
    };
    let Ok((header, rest)) = NetHeader::read_from_prefix(&start) else { return Sent::Malformed };
    if let Err(fault) = header.check(frame.len() - HEADER_LEN) {
        warn_limited(fault);
        return Sent::Malformed;
    }
    if let Some(detour) = &port.detour
        && let Some(peeked) = rest.get(..copied.saturating_sub(HEADER_LEN))
        && detour.wants(peeked)
    {
        return divert(&**detour, frame);
    }
    write(port.backend.as_fd(), frame)
}

fn divert(detour: &dyn Detour, frame: &Buffers) -> Sent {
    let mut copy = vec![0; frame.len()];
    if frame.copy_to(copy.as_mut_bytes()).is_err() {
        return Sent::Malformed;
    }
    detour.take(copy.get(HEADER_LEN..).unwrap_or_default());
    Sent::Detour
}

fn write(fd: BorrowedFd<'_>, frame: &Buffers) -> Sent {
    match frame.write_to(fd) {
        Ok(_) => Sent::Backend,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Sent::Blocked,
        Err(e) if is_gone(&e) => Sent::Gone(e),
        // The interface is down, the frame is not to its liking, or there is no memory.
        Err(_) => Sent::Dropped,
    }
}

fn warn_limited(fault: super::header::HeaderFault) {
    static SEEN: Occurrences = Occurrences::new();
    if let Some(seen) = SEEN.next() {
        warn!("dropped a frame from the guest: {fault} (such frames so far: {seen})");
    }
}
