//! A guest's socket driver, as far as the tests need one, and the host around it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use zerocopy::{FromBytes, IntoBytes};

use crate::virtio::event_loop::FakeLoop;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part};
use crate::virtio::vsock::config::{EVENT, RX, TX};
use crate::virtio::vsock::packet::{HEADER_LEN, HOST_CID, Header, Key, Op, Shutdown, TYPE_STREAM};
use crate::virtio::vsock::{Timeouts, VsockConfig, VsockHandler};
use crate::vsock::HostSockets;

pub(super) const CID: u64 = 42;
/// Bytes that each connection of the model buffers.
pub(super) const GUEST_WINDOW: u32 = 256 << 10;
/// Room for one packet in guest memory.
const PACKET_ROOM: u64 = 128 << 10;
/// Packets that each queue can have outstanding.
const PACKETS: u64 = 64;
/// Receive buffers in the ring at most: their descriptors must fit.
const POSTED: usize = 32;
const TX_BASE: u64 = DATA;
const RX_BASE: u64 = DATA + PACKETS * PACKET_ROOM;
const EVENT_BASE: u64 = RX_BASE + PACKETS * PACKET_ROOM;

/// How packets are divided into descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Header and data in one: Linux since 6.2.
    One,
    /// The header by itself: Linux before.
    Two,
    /// Data in pages, the header with the first: Linux of 2025, for large packets.
    Pages,
    /// As no driver does it: the header cut as well.
    Shreds,
}

impl Layout {
    fn cut(self, addr: u64, len: u64) -> Vec<(u64, u32)> {
        let header = HEADER_LEN as u64;
        let ends: Vec<u64> = match self {
            Self::One => vec![],
            Self::Two => vec![header],
            Self::Pages => (4096..len).step_by(4096).collect(),
            Self::Shreds => [1, 20, 50].into_iter().chain((3000..len).step_by(9999)).collect(),
        };
        let mut start = 0;
        let mut pieces = Vec::new();
        for end in ends.into_iter().filter(|e| *e < len).chain([len]) {
            pieces.push((addr + start, (end - start) as u32));
            start = end;
        }
        pieces
    }
}

/// A packet that the guest got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) header: Header,
    pub(super) data: Vec<u8>,
}

impl Packet {
    pub(super) fn op(&self) -> Op {
        Op::try_from(self.header.op.get()).unwrap()
    }

    /// The key of the connection, seen from the guest.
    pub(super) fn key(&self) -> Key {
        Key { guest_port: self.header.dst_port.get(), host_port: self.header.src_port.get() }
    }
}

/// The guest, its device and the folder of the host's sockets.
pub(super) struct Guest {
    pub(super) rx: FakeDriver,
    pub(super) tx: FakeDriver,
    pub(super) event: FakeDriver,
    pub(super) handler: VsockHandler,
    pub(super) events: FakeLoop,
    pub(super) folder: tempfile::TempDir,
    pub(super) layout: Layout,
    /// Receive buffers in the ring: head, address, length.
    posted: VecDeque<(u16, u64, u64)>,
    posted_ever: u64,
    sent_ever: u64,
    /// Packets got and not looked at yet.
    pub(super) inbox: VecDeque<Packet>,
}

impl Guest {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Short timeouts, for tests that wait for them; long enough that a busy machine does not let
    /// them pass before the test gets there.
    pub(super) fn in_a_hurry() -> Self {
        let short = Duration::from_millis(300);
        let timeouts = Timeouts { greeting: short, request: short, close: short, linger: short };
        Self::with(|config| config.timeouts = timeouts)
    }

    pub(super) fn with(change: impl FnOnce(&mut VsockConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets = HostSockets::bind(&folder.path().join("v")).unwrap();
        let mut config = VsockConfig::new(CID);
        change(&mut config);
        let rx = FakeDriver::new(1024);
        let mut guest = Self {
            tx: rx.sibling(TX, 1024),
            event: rx.sibling(EVENT, 8),
            rx,
            handler: VsockHandler::new(&config, sockets).unwrap(),
            events: FakeLoop::new().unwrap(),
            folder,
            layout: Layout::One,
            posted: VecDeque::new(),
            posted_ever: 0,
            sent_ever: 0,
            inbox: VecDeque::new(),
        };
        for queue in [guest.rx.queue(), guest.tx.queue(), guest.event.queue()] {
            guest.events.start_queue(&mut guest.handler, queue).unwrap();
        }
        guest
    }

    /// Lets the device deal with all that is ready now.
    pub(super) fn run(&mut self) {
        while self.events.turn(&mut self.handler, 0).unwrap() > 0 {}
        self.collect();
    }

    /// Lets the device wait for an event (a timeout, say), and deal with it.
    pub(super) fn wait(&mut self) {
        assert!(self.events.turn(&mut self.handler, 10_000).unwrap() > 0, "nothing happens");
        self.run();
    }

    pub(super) fn free_rx(&self) -> usize {
        POSTED - self.posted.len()
    }

    /// Gives the device a receive buffer for `len` bytes of data.
    pub(super) fn post(&mut self, len: usize) {
        assert!(self.free_rx() > 0, "the model has no memory for another buffer");
        let addr = RX_BASE + (self.posted_ever % PACKETS) * PACKET_ROOM;
        self.posted_ever += 1;
        let len = (HEADER_LEN + len) as u64;
        let parts: Vec<_> =
            self.layout.cut(addr, len).into_iter().map(|(a, l)| Part::Write(a, l)).collect();
        let head = self.rx.add(&parts);
        self.posted.push_back((head, addr, len));
        self.rx.kick.write(1).unwrap();
    }

    pub(super) fn post_many(&mut self, count: usize, len: usize) {
        for _ in 0..count {
            self.post(len);
        }
    }

    /// Tops the receive queue up and lets the device run.
    pub(super) fn run_with_room(&mut self) {
        self.post_many(self.free_rx(), 4096);
        self.run();
    }

    fn collect(&mut self) {
        for (head, written) in self.rx.used() {
            let (expected, addr, len) = self.posted.pop_front().expect("a buffer of ours");
            assert_eq!(head, expected, "buffers come back in order");
            assert!(u64::from(written) <= len);
            if written == 0 {
                continue;
            }
            let bytes = self.rx.read(addr, written as usize);
            let (header, data) = bytes.split_at(HEADER_LEN);
            let header = Header::read_from_bytes(header).unwrap();
            assert_eq!(header.len.get() as usize, data.len());
            assert_eq!(header.dst_cid.get(), CID);
            self.inbox.push_back(Packet { header, data: data.to_vec() });
        }
    }

    /// The next packet that the guest got, if any.
    pub(super) fn next(&mut self) -> Option<Packet> {
        self.inbox.pop_front()
    }

    /// The next packet, which must be there and be `op`.
    pub(super) fn expect(&mut self, op: Op) -> Packet {
        let packet = self.next().unwrap_or_else(|| panic!("no packet where {op:?} is due"));
        assert_eq!(packet.op(), op, "{packet:?}");
        packet
    }

    /// Sends a packet and lets the device run.
    pub(super) fn send(&mut self, header: &Header, data: &[u8]) {
        self.send_only(header, data);
        self.run();
    }

    /// Puts a packet into the ring.
    pub(super) fn send_only(&mut self, header: &Header, data: &[u8]) {
        self.tx.used();
        let addr = TX_BASE + (self.sent_ever % PACKETS) * PACKET_ROOM;
        self.sent_ever += 1;
        self.tx.write(addr, header.as_bytes());
        self.tx.write(addr + HEADER_LEN as u64, data);
        let len = (HEADER_LEN + data.len()) as u64;
        let parts: Vec<_> =
            self.layout.cut(addr, len).into_iter().map(|(a, l)| Part::Read(a, l)).collect();
        self.tx.add(&parts);
        self.tx.kick.write(1).unwrap();
    }

    /// Gives the device room for an event; returns its address.
    pub(super) fn post_event(&mut self) -> u64 {
        self.event.add(&[Part::Write(EVENT_BASE, 4)]);
        self.event.kick.write(1).unwrap();
        EVENT_BASE
    }

    /// Stops and starts the queues of packets, as a pause does.
    pub(super) fn pause_and_resume(&mut self) {
        let rx = self.events.stop_queue(&mut self.handler, RX).unwrap();
        let tx = self.events.stop_queue(&mut self.handler, TX).unwrap();
        assert_eq!(self.events.turn(&mut self.handler, 0).unwrap(), 0, "paused means silent");
        for queue in [self.rx.queue_at(rx), self.tx.queue_at(tx)] {
            self.events.start_queue(&mut self.handler, queue).unwrap();
        }
    }

    /// The host program that listens for the guest's connections to `port`.
    pub(super) fn listen(&self, port: u32) -> UnixListener {
        UnixListener::bind(self.folder.path().join(format!("v_{port}"))).unwrap()
    }

    /// A host program that connects to the machine's socket.
    pub(super) fn host_program(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.path().join("v")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Connects the guest's port 1000 to a host program listening on `port`.
    pub(super) fn connect(&mut self, port: u32) -> (Stream, UnixStream) {
        let listener = self.listen(port);
        let mut stream = Stream::new(Key { guest_port: 1000, host_port: port });
        let header = stream.header(Op::Request);
        if self.posted.is_empty() {
            self.post(64);
        }
        self.send(&header, &[]);
        let response = self.expect(Op::Response);
        stream.hear(&response.header);
        let (host, _) = listener.accept().unwrap();
        host.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (stream, host)
    }

    /// Connects a host program to the guest's port `port`.
    pub(super) fn accept(&mut self, port: u32) -> (Stream, UnixStream) {
        let mut host = self.host_program();
        writeln!(host, "CONNECT {port}").unwrap();
        self.post(64);
        self.run();
        let request = self.expect(Op::Request);
        assert_eq!(request.key().guest_port, port);
        let mut stream = Stream::new(request.key());
        stream.hear(&request.header);
        self.send(&stream.header(Op::Response), &[]);
        let expected = format!("OK {}\n", stream.key.host_port);
        let mut line = vec![0; expected.len()];
        host.read_exact(&mut line).unwrap();
        assert_eq!(line, expected.as_bytes());
        (stream, host)
    }
}

/// The guest's end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) key: Key,
    pub(super) window: u32,
    sent: u32,
    /// Bytes that the guest's program has taken.
    pub(super) forwarded: u32,
    host_window: u32,
    host_forwarded: u32,
}

impl Stream {
    pub(super) fn new(key: Key) -> Self {
        Self { key, window: GUEST_WINDOW, sent: 0, forwarded: 0, host_window: 0, host_forwarded: 0 }
    }

    pub(super) fn header(&self, op: Op) -> Header {
        Header {
            src_cid: CID.into(),
            dst_cid: HOST_CID.into(),
            src_port: self.key.guest_port.into(),
            dst_port: self.key.host_port.into(),
            len: 0.into(),
            kind: TYPE_STREAM.into(),
            op: (op as u16).into(),
            flags: 0.into(),
            buf_alloc: self.window.into(),
            fwd_cnt: self.forwarded.into(),
        }
    }

    pub(super) fn data(&mut self, data: &[u8]) -> Header {
        self.sent = self.sent.wrapping_add(data.len() as u32);
        Header { len: (data.len() as u32).into(), ..self.header(Op::Data) }
    }

    pub(super) fn shutdown(&self, what: Shutdown) -> Header {
        Header { flags: what.bits().into(), ..self.header(Op::Shutdown) }
    }

    pub(super) fn hear(&mut self, header: &Header) {
        self.host_window = header.buf_alloc.get();
        self.host_forwarded = header.fwd_cnt.get();
    }

    pub(super) fn credit(&self) -> usize {
        let in_flight = self.sent.wrapping_sub(self.host_forwarded);
        self.host_window.checked_sub(in_flight).expect("the host keeps its word") as usize
    }
}

/// Bytes that repeat only after a long time, so that loss and disorder show.
pub(super) fn pattern(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}
