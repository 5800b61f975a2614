//! Frames of a guest, their headers first, and buffers that it offers: each chain comes back and
//! the host sees whole frames.
#![no_main]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use devices::net::{NetBackend, Offloads};
use devices::virtio::event_loop::FakeLoop;
use devices::virtio::fake_driver::{DATA, FakeDriver, Part};
use devices::virtio::net::PairHandler;
use fuzz::chains::{AnyChain, QUEUE_SIZE, assert_returned, batch, kick};
use fuzz::quiet::{drain, settle};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

const RX: u16 = 0;
const TX: u16 = 1;
/// Where headers lie, in front of what chains reach by chance.
const HEADERS: u64 = DATA + 0x10_0000;
/// Bytes of a virtio_net_hdr_v1 (VIRTIO 1.3, 5.1.6).
const HEADER: u32 = 12;

#[derive(Debug, Arbitrary)]
enum Step {
    /// The guest sends: a header, a frame's first bytes, and what chains have besides.
    Send(Vec<([u8; 12], [u8; 34], bool, AnyChain)>),
    /// The guest offers buffers.
    Offer(Vec<AnyChain>),
    /// A frame comes from the network.
    Arrive([u8; 12], u16),
    /// Both queues are stopped and started again.
    Restart,
}

#[derive(Debug, Arbitrary)]
struct Input {
    mergeable: bool,
    large: bool,
    steps: Vec<Step>,
}

/// One end of a pair of sockets in place of a tap.
struct Socket(OwnedFd);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl NetBackend for Socket {
    fn supported_offloads(&self) -> Offloads {
        Offloads::all()
    }
    fn set_offloads(&self, _: Offloads) -> io::Result<()> {
        Ok(())
    }
    fn set_enabled(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

struct Card {
    handler: PairHandler,
    event_loop: FakeLoop,
    rx: FakeDriver,
    tx: FakeDriver,
    network: OwnedFd,
}

impl Card {
    fn new(input: &Input) -> Self {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (card, network) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("sockets");
        let backend = Arc::new(Socket(card));
        let handler = PairHandler::alone(backend, input.mergeable, input.large).expect("a handler");
        let rx = FakeDriver::new(QUEUE_SIZE);
        let tx = rx.sibling(TX, QUEUE_SIZE);
        let event_loop = FakeLoop::new().expect("a loop");
        let mut card = Self { handler, event_loop, rx, tx, network };
        for queue in [card.rx.queue(), card.tx.queue()] {
            card.event_loop.start_queue(&mut card.handler, queue).expect("the queue starts");
        }
        card
    }

    fn settle(&mut self) {
        settle(&mut self.event_loop, &mut self.handler);
    }

    fn act(&mut self, step: &Step) {
        match step {
            Step::Send(frames) => self.send(frames),
            Step::Offer(chains) => {
                // Buffers that the card still holds may stand in the same descriptors: nothing
                // but its survival can be asked for.
                for (number, chain) in batch(chains).iter().enumerate() {
                    chain.add(&mut self.rx, number, &[]);
                }
                kick(&self.rx);
                self.settle();
            }
            Step::Arrive(header, len) => {
                let frame = [&header[..], &vec![0x5a; usize::from(*len)]].concat();
                // A full socket loses it, as a network may.
                let _ = send(&self.network, &frame, SendFlags::empty());
                self.settle();
            }
            Step::Restart => self.restart(),
        }
    }

    fn send(&mut self, frames: &[([u8; 12], [u8; 34], bool, AnyChain)]) {
        let mut heads = Vec::new();
        for (number, (header, start, headed, chain)) in batch(frames).iter().enumerate() {
            let at = HEADERS + 64 * number as u64;
            self.tx.write(at, header);
            self.tx.write(at + u64::from(HEADER), start);
            let first = [Part::Read(at, HEADER), Part::Read(at + u64::from(HEADER), 34)];
            let first: &[Part] = if *headed { &first } else { &[] };
            heads.push(chain.add(&mut self.tx, number, first));
        }
        kick(&self.tx);
        self.settle();
        // Room in the socket lets the card go on.
        for _ in 0..heads.len() {
            drain(&self.network);
            self.settle();
        }
        assert_returned(&mut self.tx, &heads);
    }

    fn restart(&mut self) {
        for index in [RX, TX] {
            let driver = if index == RX { &self.rx } else { &self.tx };
            let state = self.event_loop.stop_queue(&mut self.handler, index).expect("it ran");
            let queue = driver.queue_at(state);
            self.event_loop.start_queue(&mut self.handler, queue).expect("the queue starts");
        }
        self.settle();
    }
}

fuzz_target!(|input: Input| {
    let mut card = Card::new(&input);
    for step in batch(&input.steps) {
        card.act(step);
    }
});
