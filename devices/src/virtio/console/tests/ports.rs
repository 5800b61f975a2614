//! Several ports, and the messages about them.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::char::Stream;
use crate::virtio::event_loop::EventLoop;

/// Queues: console, control, and the one named port; receive before transmit.
const CONTROL_IN: u16 = 2;
const CONTROL_OUT: u16 = 3;
const PORT_IN: u16 = 4;
const PORT_OUT: u16 = 5;
/// Events of control messages.
const DEVICE_READY: u16 = 0;
const DEVICE_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const CONSOLE_PORT: u16 = 4;
const RESIZE: u16 = 5;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;
/// Where messages and characters lie in guest memory.
const MESSAGE: u64 = DATA + 0x1000;
const INBOX: u64 = DATA + 0x2000;

/// A console with a port called `org.example.0`, and both drivers of its queues.
struct Bench {
    handler: ConsoleHandler,
    cx: FakeLoop,
    drivers: Vec<FakeDriver>,
    port: UnixStream,
    port_stream: GuestEnd,
    host: LoopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    fn new() -> Self {
        let (host, thread) = EventLoop::spawn("host", || {}).unwrap();
        let (console, _) = Stream::start(Backend::null(), 4096, &host).unwrap();
        let (port, theirs) = UnixStream::pair().unwrap();
        port.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let theirs = OwnedFd::from(theirs);
        let backend = Backend::streams(theirs.as_fd(), theirs.as_fd()).unwrap();
        let (stream, _) = Stream::start(backend, 4096, &host).unwrap();
        let named = NamedPort { name: "org.example.0".into(), stream: stream.clone() };
        let first = FakeDriver::new(64);
        let mut drivers: Vec<_> = (1..=PORT_OUT).map(|index| first.sibling(index, 64)).collect();
        drivers.insert(0, first);
        let mut bench = Self {
            handler: ConsoleHandler::new(console, vec![named]),
            cx: FakeLoop::new().unwrap(),
            drivers,
            port,
            port_stream: stream,
            host,
            thread: Some(thread),
        };
        for driver in &bench.drivers {
            bench.cx.start_queue(&mut bench.handler, driver.queue()).unwrap();
        }
        for slot in 0..16 {
            bench.driver(CONTROL_IN).add(&[Part::Write(INBOX + 64 * slot, 64)]);
        }
        bench
    }

    fn driver(&mut self, queue: u16) -> &mut FakeDriver {
        &mut self.drivers[usize::from(queue)]
    }

    fn kick(&mut self, queue: u16) {
        self.driver(queue).kick.write(1).unwrap();
        while self.cx.turn(&mut self.handler, 0).unwrap() > 0 {}
    }

    /// Sends a control message and returns what comes back: port, event, value, rest.
    fn say(&mut self, id: u32, event: u16, value: u16) -> Vec<(u32, u16, u16, Vec<u8>)> {
        let message = [&id.to_le_bytes()[..], &event.to_le_bytes(), &value.to_le_bytes()].concat();
        let driver = self.driver(CONTROL_OUT);
        driver.write(MESSAGE, &message);
        let head = driver.add(&[Part::Read(MESSAGE, 8)]);
        self.kick(CONTROL_OUT);
        assert_eq!(self.driver(CONTROL_OUT).used(), [(head, 0)]);
        self.heard()
    }

    fn heard(&mut self) -> Vec<(u32, u16, u16, Vec<u8>)> {
        let driver = self.driver(CONTROL_IN);
        let messages = driver.used().into_iter().map(|(head, len)| {
            let raw = driver.read(INBOX + 64 * u64::from(head), len as usize);
            let half = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
            (u32::from(half(0)), half(4), half(6), raw[8..].to_vec())
        });
        messages.collect()
    }

    /// As Linux begins.
    fn begin(&mut self) {
        self.say(0, DEVICE_READY, 1);
        self.say(0, PORT_READY, 1);
        self.say(1, PORT_READY, 1);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.host.end();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn driver_learns_of_all_ports_their_kinds_and_names() {
    let mut bench = Bench::new();
    let added = bench.say(0, DEVICE_READY, 1);
    assert_eq!(added, [(0, DEVICE_ADD, 0, vec![]), (1, DEVICE_ADD, 0, vec![])]);
    let console = bench.say(0, PORT_READY, 1);
    assert_eq!(console, [(0, CONSOLE_PORT, 1, vec![]), (0, PORT_OPEN, 1, vec![])]);
    let named = bench.say(1, PORT_READY, 1);
    let name = b"org.example.0".to_vec();
    assert_eq!(named, [(1, PORT_NAME, 1, name), (1, PORT_OPEN, 1, vec![])]);
}

#[test]
fn input_of_a_port_waits_until_the_guest_opens_it_and_after_it_closed_it() {
    let mut bench = Bench::new();
    bench.begin();
    bench.driver(PORT_IN).add(&[Part::Write(DATA, 16)]);
    bench.port.write_all(b"one").unwrap();
    assert!(bench.cx.turn(&mut bench.handler, 10_000).unwrap() > 0, "nothing happened");
    bench.kick(PORT_IN);
    assert_eq!(bench.driver(PORT_IN).used(), []);
    assert_eq!(bench.port_stream.input_waiting(), 3, "it is not lost");
    bench.say(1, PORT_OPEN, 1);
    assert_eq!(bench.driver(PORT_IN).used(), [(0, 3)]);

    bench.say(1, PORT_OPEN, 0);
    bench.driver(PORT_IN).add(&[Part::Write(DATA, 16)]);
    bench.port.write_all(b"two").unwrap();
    assert!(bench.cx.turn(&mut bench.handler, 10_000).unwrap() > 0, "nothing happened");
    assert_eq!(bench.driver(PORT_IN).used(), []);
}

#[test]
fn output_of_a_port_reaches_its_own_stream() {
    let mut bench = Bench::new();
    bench.begin();
    bench.driver(PORT_OUT).write(DATA, b"hello");
    let head = bench.driver(PORT_OUT).add(&[Part::Read(DATA, 5)]);
    bench.kick(PORT_OUT);
    assert_eq!(bench.driver(PORT_OUT).used(), [(head, 0)]);
    let mut seen = [0; 5];
    bench.port.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"hello");
}

#[test]
fn messages_that_mean_nothing_are_counted_and_harmless() {
    let mut bench = Bench::new();
    bench.begin();
    for (id, event) in [(2, PORT_READY), (u32::MAX, PORT_OPEN), (0, DEVICE_ADD), (1, 99)] {
        assert_eq!(bench.say(id, event, 1), []);
    }
    let short = bench.driver(CONTROL_OUT).add(&[Part::Read(MESSAGE, 7)]);
    let outside = bench.driver(CONTROL_OUT).add(&[Part::Read(RAM_SIZE as u64, 8)]);
    bench.kick(CONTROL_OUT);
    assert_eq!(bench.driver(CONTROL_OUT).used(), [(short, 0), (outside, 0)]);
    assert_eq!(bench.driver(CONTROL_OUT).metrics.malformed.get(), 6);
}

#[test]
fn driver_that_offers_no_buffers_is_told_later_and_once() {
    let mut bench = Bench::new();
    let state = bench.cx.stop_queue(&mut bench.handler, CONTROL_IN).unwrap();
    for _ in 0..1000 {
        assert_eq!(bench.say(0, DEVICE_READY, 1), []);
    }
    let queue = bench.driver(CONTROL_IN).queue_at(state);
    bench.cx.start_queue(&mut bench.handler, queue).unwrap();
    assert_eq!(bench.heard().len(), 2);
}

#[test]
fn control_buffer_that_is_too_small_comes_back_empty_and_the_next_is_used() {
    let mut bench = Bench::new();
    bench.begin();
    bench.cx.stop_queue(&mut bench.handler, CONTROL_IN).unwrap();
    // A ring of its own, without the buffers that the driver offered before.
    let mut fresh = FakeDriver::new(64).sibling(CONTROL_IN, 64);
    let small = fresh.add(&[Part::Write(INBOX, 8)]);
    let large = fresh.add(&[Part::Write(INBOX, 64)]);
    bench.cx.start_queue(&mut bench.handler, fresh.queue()).unwrap();
    bench.handler.resize(ConsoleSize { columns: 100, rows: 30 }, &mut bench.cx.context());
    assert_eq!(fresh.used(), [(small, 0), (large, 12)]);
    let expected = [0, 0, 0, 0, RESIZE as u8, 0, 0, 0, 100, 0, 30, 0];
    assert_eq!(fresh.read(INBOX, 12), expected);
}

#[test]
fn reset_closes_ports_and_forgets_what_was_due() {
    let mut bench = Bench::new();
    bench.begin();
    bench.say(1, PORT_OPEN, 1);
    bench.handler.reset();
    bench.driver(PORT_IN).add(&[Part::Write(DATA, 16)]);
    bench.port.write_all(b"one").unwrap();
    assert!(bench.cx.turn(&mut bench.handler, 10_000).unwrap() > 0, "nothing happened");
    bench.kick(PORT_IN);
    assert_eq!((bench.driver(PORT_IN).used(), bench.heard()), (vec![], vec![]));
}

#[test]
fn front_offers_ports_only_where_there_are_any() {
    let (plain, guest, handle, thread) = console();
    assert_eq!((plain.features() >> 1 & 1, plain.queue_sizes().len()), (0, 2));
    let port = |name: &str| NamedPort { name: name.into(), stream: guest.clone() };
    let ports = vec![port("a"), port("b")];
    let config = ConsoleConfig::default();
    let mut several = Console::new(config, guest.clone(), ports, &handle).unwrap();
    assert_eq!((several.features() >> 1 & 1, several.queue_sizes().len()), (1, 8));
    let mut count = [0; 4];
    several.read_config(4, &mut count);
    assert_eq!(count, [3, 0, 0, 0]);

    let driver = FakeDriver::new(64);
    let features = several.features();
    several.activate(Activation { features, interrupt: driver.interrupt.clone() });
    let mut inbox = driver.sibling(CONTROL_IN, 64);
    let mut outbox = driver.sibling(CONTROL_OUT, 64);
    inbox.add(&[Part::Write(INBOX, 64)]);
    outbox.write(MESSAGE, &[0, 0, 0, 0, 0, 0, 1, 0]);
    outbox.add(&[Part::Read(MESSAGE, 8)]);
    several.start_queue(inbox.queue()).unwrap();
    several.start_queue(outbox.queue()).unwrap();
    assert_eq!(several.stop_queue(CONTROL_OUT).unwrap().next_used, 1);
    assert_eq!(several.stop_queue(CONTROL_IN).unwrap().next_used, 1);
    assert_eq!(driver.interrupt.config.load(Relaxed), 0);
    handle.end();
    thread.join().unwrap();
}
