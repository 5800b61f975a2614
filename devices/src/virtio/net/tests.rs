//! Pairs over a socket in place of a tap: sequential packets keep the borders of frames.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, send, socketpair};

use super::detour::Detour;
use super::handler::{PairHandler, Port};
use super::header::{HEADER_LEN, LARGE_FRAME, NetHeader, PLAIN_FRAME};
use super::link::Link;
use super::metrics::NetMetrics;
use super::rx::RxMode;
use crate::net::{NetBackend, Offloads};
use crate::rate_limiter::{LimiterConfig, SharedLimiter};
use crate::virtio::event_loop::FakeLoop;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part};

mod control;
mod detour;
mod host_tap;
mod hostile;
mod receive;
mod switch_port;
mod transmit;

const RX: u16 = 0;
const TX: u16 = 1;
const MERGEABLE: RxMode = RxMode { mergeable: true, largest: PLAIN_FRAME };
const LARGE: RxMode = RxMode { mergeable: true, largest: LARGE_FRAME };
const PLAIN: RxMode = RxMode { mergeable: false, largest: PLAIN_FRAME };

/// A backend that is one end of a socket pair and remembers what it was told.
struct SocketBackend {
    fd: OwnedFd,
    told: Mutex<Vec<Told>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Offloads(Offloads),
    Enabled(bool),
}

impl SocketBackend {
    /// The backend and the network's end.
    fn pair() -> (Arc<Self>, OwnedFd) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (fd, network) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Arc::new(Self { fd, told: Mutex::default() }), network)
    }

    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl AsFd for SocketBackend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl NetBackend for SocketBackend {
    fn supported_offloads(&self) -> Offloads {
        Offloads::all()
    }
    fn set_offloads(&self, offloads: Offloads) -> io::Result<()> {
        self.told.lock().unwrap().push(Told::Offloads(offloads));
        Ok(())
    }
    fn set_enabled(&self, enabled: bool) -> io::Result<()> {
        self.told.lock().unwrap().push(Told::Enabled(enabled));
        Ok(())
    }
}

/// What a rig is made of.
#[derive(Default)]
struct Parts {
    rx_limiter: LimiterConfig,
    tx_limiter: LimiterConfig,
    detour: Option<Arc<dyn Detour>>,
}

/// A pair of queues between a fake driver and a socket.
struct Rig {
    handler: PairHandler,
    event_loop: FakeLoop,
    rx: FakeDriver,
    tx: FakeDriver,
    network: OwnedFd,
    metrics: Arc<NetMetrics>,
    rx_limiter: Arc<SharedLimiter>,
    link: Arc<Link>,
}

impl Rig {
    fn new(mode: RxMode) -> Self {
        Self::with(mode, Parts::default())
    }

    fn with(mode: RxMode, parts: Parts) -> Self {
        let (backend, network) = SocketBackend::pair();
        Self::over(backend, network, mode, parts)
    }

    fn over(backend: Arc<dyn NetBackend>, network: OwnedFd, mode: RxMode, parts: Parts) -> Self {
        let metrics = Arc::<NetMetrics>::default();
        let rx_limiter = Arc::new(SharedLimiter::new(parts.rx_limiter));
        let link = Arc::<Link>::default();
        let port = Port {
            backend,
            detour: parts.detour,
            link: Arc::clone(&link),
            metrics: Arc::clone(&metrics),
            rx_limiter: Arc::clone(&rx_limiter),
            tx_limiter: Arc::new(SharedLimiter::new(parts.tx_limiter)),
        };
        let mut handler = PairHandler::new(port).unwrap();
        handler.set_mode(mode);
        let rx = FakeDriver::new(256);
        let tx = rx.sibling(TX, 256);
        let event_loop = FakeLoop::new().unwrap();
        Self { handler, event_loop, rx, tx, network, metrics, rx_limiter, link }
    }

    /// Starts both queues, as they are by now.
    fn start(&mut self) {
        for queue in [self.rx.queue(), self.tx.queue()] {
            self.event_loop.start_queue(&mut self.handler, queue).unwrap();
        }
    }

    fn started(mode: RxMode) -> Self {
        let mut rig = Self::new(mode);
        rig.start();
        rig
    }

    /// Lets the device deal with everything that is due now; returns how many events there were.
    fn settle(&mut self) -> usize {
        let mut total = 0;
        loop {
            match self.event_loop.turn(&mut self.handler, 0).unwrap() {
                0 => return total,
                n => total += n,
            }
            assert!(total < 1000, "the device spins");
        }
    }

    /// Waits for one event.
    fn wait(&mut self) {
        assert!(self.event_loop.turn(&mut self.handler, 5000).unwrap() > 0, "no event came");
    }

    /// A frame arrives from the network.
    fn arrive(&self, frame: &[u8]) {
        send(&self.network, &with_header(frame), SendFlags::empty()).unwrap();
    }

    /// The next frame that the guest sent, without its header.
    fn sent(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let (n, _) = recv(&self.network, &mut buffer[..], RecvFlags::empty()).ok()?;
        Some(buffer[HEADER_LEN..n].to_vec())
    }

    /// Adds a receive buffer of one descriptor.
    fn offer(&mut self, addr: u64, len: u32) -> u16 {
        self.rx.add(&[Part::Write(addr, len)])
    }

    /// Sends a frame in one descriptor, its header in front.
    fn transmit(&mut self, at: u64, header: NetHeader, frame: &[u8]) -> u16 {
        self.tx.write(at, zerocopy::IntoBytes::as_bytes(&header));
        self.tx.write(at + HEADER_LEN as u64, frame);
        self.tx.add(&[Part::Read(at, (HEADER_LEN + frame.len()) as u32)])
    }

    fn kick_rx(&mut self) {
        self.rx.kick.write(1).unwrap();
        self.settle();
    }

    fn kick_tx(&mut self) {
        self.tx.kick.write(1).unwrap();
        self.settle();
    }
}

fn with_header(frame: &[u8]) -> Vec<u8> {
    [&[0; HEADER_LEN], frame].concat()
}

/// A frame to everybody, with recognizable bytes.
fn frame(len: usize, seed: u8) -> Vec<u8> {
    let body = (0..len).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed));
    let mut frame: Vec<u8> = body.collect();
    frame[..6].fill(0xff);
    frame
}
