//! Frames to the guest: one `readv` each, into as many buffers as the largest frame may need.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::filter::RxFilter;
use super::handler::{Port, Progress};
use super::header::{
    ETHERNET_HEADER_LEN, HEADER_LEN, LARGE_FRAME, NUM_BUFFERS_AT, NetHeader, PLAIN_FRAME,
};
use crate::net::is_gone;
use crate::virtio::buffers::{Buffers, MAX_IOVECS};
use crate::virtio::queue::{Chain, Queue, QueueState};

/// Frames given in one go, and bad chains taken.
const BURST: usize = 256;

/// What the driver negotiated for receiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RxMode {
    /// A frame may be spread over several chains (VIRTIO_NET_F_MRG_RXBUF).
    pub(super) mergeable: bool,
    /// The longest frame that may arrive, with its header.
    pub(super) largest: usize,
}

impl Default for RxMode {
    fn default() -> Self {
        Self { mergeable: false, largest: PLAIN_FRAME }
    }
}

/// Where frames may come from. Sources are cleared here when they have no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sources {
    /// The backend's descriptor may be readable.
    pub(super) backend: bool,
    /// The detour may have frames.
    pub(super) detour: bool,
}

/// A running receive queue.
///
/// Chains are taken ahead, so that there is room for the largest frame, and their buffers stand in
/// one list: a frame fills its beginning, and the chains that it touched are used together.
pub(super) struct Receiver {
    queue: Queue,
    mode: RxMode,
    /// Chains taken and not yet used: head and length.
    held: VecDeque<(u16, u32)>,
    /// The buffers of all of them, in order.
    space: Buffers,
    /// Length of a frame, header included, that is in the buffers and waits for the rate limit.
    waiting: Option<usize>,
    /// Chains of the frame at hand; kept for its storage.
    used: Vec<(u16, u32)>,
}

/// How much room there is for a frame.
enum Room {
    Enough,
    TooLittle,
    /// The driver's bad chains took the time.
    Later,
}

impl Receiver {
    pub(super) fn new(queue: Queue, mode: RxMode) -> Self {
        let space = Buffers::new(Arc::clone(queue.ram()));
        let used = Vec::with_capacity(usize::from(queue.size()));
        Self { queue, mode, held: VecDeque::new(), space, waiting: None, used }
    }

    pub(super) fn set_mode(&mut self, mode: RxMode) {
        self.mode = mode;
    }

    pub(super) fn index(&self) -> u16 {
        self.queue.index()
    }

    /// Gives the guest what there is, until buffers, frames or the rate limit end it.
    pub(super) fn run(
        &mut self,
        port: &Port,
        filter: &RxFilter,
        sources: &mut Sources,
    ) -> Progress {
        let progress = self.burst(port, filter, sources);
        self.queue.signal();
        progress
    }

    fn burst(&mut self, port: &Port, filter: &RxFilter, sources: &mut Sources) -> Progress {
        for _ in 0..BURST {
            let len = match self.waiting {
                Some(len) => len,
                None => match self.make_room() {
                    Room::Later => return Progress::Again,
                    Room::TooLittle => return Progress::Idle,
                    Room::Enough => match self.obtain(port, filter, sources) {
                        Obtained::Frame(len) => len,
                        Obtained::Dropped => continue,
                        Obtained::Nothing => return Progress::Idle,
                        Obtained::Gone(error) => return Progress::Gone(error),
                    },
                },
            };
            self.waiting = Some(len);
            if let Err(wait) = port.rx_limiter.consume(1, (len - HEADER_LEN) as u64) {
                self.queue.metrics().throttled.increment();
                return Progress::Throttled(wait);
            }
            self.deliver(port);
        }
        Progress::Again
    }

    /// Takes chains until the largest frame has room.
    fn make_room(&mut self) -> Room {
        let mut bad = 0;
        while !self.is_roomy() {
            let Some(chain) = self.queue.next() else { break };
            if !is_acceptable(&chain) {
                self.queue.metrics().malformed.increment();
                self.queue.complete(chain.head, 0);
                bad += 1;
                if bad == BURST {
                    return Room::Later;
                }
                continue;
            }
            // One range less than the limit: reading a frame takes one of its own.
            if self.space.ranges() + chain.writable.ranges() >= MAX_IOVECS {
                self.queue.put_back();
                return Room::Enough;
            }
            self.held.push_back((chain.head, chain.writable.len() as u32));
            self.space.append(chain.writable);
        }
        if self.is_usable() { Room::Enough } else { Room::TooLittle }
    }

    /// Whether no more chains are needed.
    fn is_roomy(&self) -> bool {
        if self.mode.mergeable { self.space.len() >= LARGE_FRAME } else { !self.held.is_empty() }
    }

    /// Whether a frame may be read, all chains having been taken that there are.
    fn is_usable(&self) -> bool {
        if !self.mode.mergeable || self.held.is_empty() {
            return !self.held.is_empty();
        }
        // A driver whose whole ring is smaller than a frame will add nothing.
        let exhausted = self.held.len().max(self.space.ranges()) >= usize::from(self.queue.size());
        self.space.len() >= self.mode.largest || exhausted
    }

    fn obtain(&mut self, port: &Port, filter: &RxFilter, sources: &mut Sources) -> Obtained {
        if sources.detour {
            match port.detour.as_ref().and_then(|d| d.next_frame()) {
                Some(frame) => return self.place(port, &frame),
                None => sources.detour = false,
            }
        }
        if !sources.backend {
            return Obtained::Nothing;
        }
        match self.read(port, port.backend.as_fd(), filter) {
            Obtained::Nothing => {
                sources.backend = false;
                Obtained::Nothing
            }
            other => other,
        }
    }

    fn read(&mut self, port: &Port, fd: BorrowedFd<'_>, filter: &RxFilter) -> Obtained {
        match self.space.read_frame(fd) {
            Ok(Some(0)) => Obtained::Gone(io::ErrorKind::UnexpectedEof.into()),
            Ok(Some(len)) if len >= HEADER_LEN + ETHERNET_HEADER_LEN => {
                if self.is_wanted(filter) {
                    return Obtained::Frame(len);
                }
                port.metrics.rx_filtered.increment();
                Obtained::Dropped
            }
            Ok(Some(len)) if len < HEADER_LEN => self.hear(port, len),
            Ok(_) => {
                port.metrics.rx_dropped.increment();
                Obtained::Dropped
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Obtained::Nothing,
            Err(e) if is_gone(&e) => Obtained::Gone(e),
            Err(_) => {
                port.metrics.rx_errors.increment();
                self.queue.metrics().errors.increment();
                Obtained::Nothing
            }
        }
    }

    /// Takes what came in place of a frame.
    fn hear(&self, port: &Port, len: usize) -> Obtained {
        let mut word = [0; HEADER_LEN];
        let copied = self.space.copy_to(&mut word);
        let word = copied.ok().and(word.get(..len)).unwrap_or_default();
        match port.backend.cable_word(word) {
            Some(plugged_in) => port.link.set_alive(plugged_in),
            None => port.metrics.rx_dropped.increment(),
        }
        Obtained::Dropped
    }

    fn is_wanted(&self, filter: &RxFilter) -> bool {
        if filter.promiscuous {
            return true;
        }
        let mut start = [0; HEADER_LEN + 6];
        if self.space.copy_to(&mut start).is_err() {
            return false;
        }
        start.last_chunk().is_some_and(|destination| filter.passes(*destination))
    }

    /// Puts a frame of the detour into the buffers.
    fn place(&mut self, port: &Port, frame: &[u8]) -> Obtained {
        let header = [0; HEADER_LEN];
        let fitted =
            self.space.copy_from(&header).and_then(|_| self.space.copy_from_at(HEADER_LEN, frame));
        if fitted.is_ok_and(|n| n == frame.len()) {
            port.metrics.detour_given.increment();
            Obtained::Frame(HEADER_LEN + frame.len())
        } else {
            port.metrics.rx_dropped.increment();
            Obtained::Dropped
        }
    }

    /// Hands the waiting frame to the driver (VIRTIO 1.3, 5.1.6.4.1).
    fn deliver(&mut self, port: &Port) {
        let Some(len) = self.waiting.take() else { return };
        self.used.clear();
        let (mut rest, mut covered) = (len, 0);
        while rest > 0 {
            let Some((head, room)) = self.held.pop_front() else { break };
            let part = rest.min(room as usize);
            rest -= part;
            covered += room as usize;
            self.used.push((head, part as u32));
        }
        // The kernel leaves this field of the header to us. It is in the first chain.
        let count = (self.used.len() as u16).to_le_bytes();
        if self.space.copy_from_at(NUM_BUFFERS_AT, &count).is_err() {
            port.metrics.rx_errors.increment();
        }
        self.space.advance(covered);
        self.queue.complete_together(&self.used);
        self.queue.metrics().bytes_to_guest.add(len as u64);
        port.metrics.rx_frames.increment();
    }

    /// Gives the queue up. A frame that waits is delivered, so that it is not lost.
    pub(super) fn stop(mut self, port: &Port) -> QueueState {
        self.deliver(port);
        self.queue.signal();
        for _ in 0..self.held.len() {
            self.queue.put_back();
        }
        self.queue.state()
    }
}

enum Obtained {
    /// In the buffers, of this length with its header.
    Frame(usize),
    /// Read, and thrown away.
    Dropped,
    /// There is none.
    Nothing,
    /// There will never be one.
    Gone(io::Error),
}

/// Whether a chain is a receive buffer: writable memory with room for the header.
fn is_acceptable(chain: &Chain) -> bool {
    chain.readable.is_empty()
        && chain.writable.is_valid()
        && chain.writable.len() >= size_of::<NetHeader>()
        && chain.writable.ranges() < MAX_IOVECS
}
