use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

mod ports;

use super::port::BURST;
use super::*;
use crate::char::{Backend, GuestEnd, Stream};
use crate::legacy::{GuestRequest, GuestRequests};
use crate::virtio::event_loop::{EventLoop, FakeLoop, LoopHandle};
use crate::virtio::fake_driver::{DATA, FakeDriver, Part, RAM_SIZE};
use crate::virtio::{Activation, VirtioDevice};

const TRANSMIT: u16 = 1;

/// A handler driven by hand; its stream's host side runs on a loop.
struct Bench {
    handler: ConsoleHandler,
    cx: FakeLoop,
    rx: FakeDriver,
    tx: FakeDriver,
    guest: GuestEnd,
    ours: UnixStream,
    host: LoopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    fn new() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&theirs, 1).unwrap();
        let theirs = OwnedFd::from(theirs);
        let backend = Backend::streams(theirs.as_fd(), theirs.as_fd()).unwrap();
        let (host, thread) = EventLoop::spawn("host", || {}).unwrap();
        let (guest, _) = Stream::start(backend, 4096, &host).unwrap();
        let rx = FakeDriver::new(16);
        let tx = rx.sibling(TRANSMIT, 128);
        let mut bench = Self {
            handler: ConsoleHandler::new(guest.clone(), Vec::new()),
            cx: FakeLoop::new().unwrap(),
            rx,
            tx,
            guest,
            ours,
            host,
            thread: Some(thread),
        };
        for queue in [bench.rx.queue(), bench.tx.queue()] {
            bench.cx.start_queue(&mut bench.handler, queue).unwrap();
        }
        bench
    }

    fn kick(&mut self) {
        self.tx.kick.write(1).unwrap();
        self.rx.kick.write(1).unwrap();
        self.cx.turn(&mut self.handler, 0).unwrap();
    }

    /// Waits for something to happen, at most as long as a test may take.
    fn turn(&mut self) {
        assert!(self.cx.turn(&mut self.handler, 10_000).unwrap() > 0, "nothing happened");
    }

    fn seen(&mut self, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.ours.read_exact(&mut data).unwrap();
        data
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
fn output_of_all_buffers_reaches_the_host_in_order() {
    let mut bench = Bench::new();
    bench.tx.write(DATA, b"hello, world");
    let first = bench.tx.add(&[Part::Read(DATA, 5), Part::Read(DATA + 5, 2)]);
    let second = bench.tx.add(&[Part::Read(DATA + 7, 5)]);
    bench.kick();
    assert_eq!(bench.tx.used(), [(first, 0), (second, 0)]);
    assert_eq!(bench.seen(12), b"hello, world");
    assert_eq!(bench.tx.metrics.bytes_from_guest.get(), 12);
}

#[test]
fn input_waits_for_a_buffer_and_fills_no_more_than_there_is() {
    let mut bench = Bench::new();
    bench.ours.write_all(b"ls\n").unwrap();
    bench.turn();
    assert_eq!(bench.rx.used(), []);
    let small = bench.rx.add(&[Part::Write(DATA, 2)]);
    let large = bench.rx.add(&[Part::Write(DATA + 16, 64)]);
    bench.rx.add(&[Part::Write(DATA + 128, 64)]);
    bench.kick();
    assert_eq!(bench.rx.used(), [(small, 2), (large, 1)]);
    assert_eq!((bench.rx.read(DATA, 2), bench.rx.read(DATA + 16, 2)), (b"ls".into(), vec![10, 0]));

    bench.ours.write_all(b"x").unwrap();
    bench.turn();
    assert_eq!(bench.rx.used().len(), 1);
}

#[test]
fn output_is_held_while_the_host_is_busy_and_nothing_is_lost() {
    let mut bench = Bench::new();
    let sent: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 11) as u8).collect();
    bench.tx.write(DATA, &sent);
    let head = bench.tx.add(&[Part::Read(DATA, sent.len() as u32)]);
    bench.kick();
    let mut reader = bench.ours.try_clone().unwrap();
    let len = sent.len();
    let read = std::thread::spawn(move || {
        let mut data = vec![0; len];
        reader.read_exact(&mut data).unwrap();
        data
    });
    while bench.tx.metrics.bytes_from_guest.get() < len as u64 {
        bench.turn();
    }
    assert!(read.join().unwrap() == sent);
    assert_eq!(bench.tx.used(), [(head, 0)]);
    assert_eq!(bench.guest.metrics().dropped.get(), 0);
}

#[test]
fn held_output_is_completed_when_the_queue_stops() {
    let mut bench = Bench::new();
    let head = bench.tx.add(&[Part::Read(DATA, 16 << 20)]);
    let waiting = bench.tx.add(&[Part::Read(DATA, 3)]);
    bench.kick();
    let state = bench.cx.stop_queue(&mut bench.handler, TRANSMIT).unwrap();
    assert_eq!((state.next_available, state.next_used), (1, 1));
    assert_eq!(bench.tx.used(), [(head, 0)]);
    assert!(bench.cx.stop_queue(&mut bench.handler, TRANSMIT).is_none());
    assert!(bench.cx.stop_queue(&mut bench.handler, 7).is_none());

    let queue = bench.tx.queue_at(state);
    bench.cx.start_queue(&mut bench.handler, queue).unwrap();
    let mut drain = bench.ours.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut drain, &mut std::io::sink()));
    while bench.tx.used() != [(waiting, 0)] {
        bench.turn();
    }
}

#[test]
fn buffers_outside_of_memory_fail_and_the_rest_goes_on() {
    let mut bench = Bench::new();
    bench.tx.write(DATA, b"ok");
    let bad = bench.tx.add(&[Part::Read(RAM_SIZE as u64 - 1, 2)]);
    let empty = bench.tx.add(&[Part::Read(DATA, 0)]);
    let good = bench.tx.add(&[Part::Read(DATA, 2)]);
    bench.kick();
    assert_eq!(bench.tx.used(), [(bad, 0), (empty, 0), (good, 0)]);
    assert_eq!(bench.tx.metrics.errors.get(), 1);
    assert_eq!(bench.seen(2), b"ok");

    let bad = bench.rx.add(&[Part::Write(u64::MAX, 2)]);
    let readable = bench.rx.add(&[Part::Read(DATA, 2)]);
    let good = bench.rx.add(&[Part::Write(DATA, 2)]);
    bench.ours.write_all(b"in").unwrap();
    bench.turn();
    assert_eq!(bench.rx.used(), [(bad, 0), (readable, 0), (good, 2)]);
    assert_eq!(bench.rx.read(DATA, 2), b"in");
}

#[test]
fn long_burst_is_served_in_turns() {
    let mut bench = Bench::new();
    for _ in 0..BURST + 1 {
        bench.tx.add(&[Part::Read(DATA, 1)]);
    }
    bench.kick();
    assert_eq!(bench.tx.used().len(), BURST);
    bench.turn();
    assert_eq!(bench.tx.used().len(), 1);
}

fn console() -> (Console, GuestEnd, LoopHandle, JoinHandle<()>) {
    let (handle, thread) = EventLoop::spawn("console", || {}).unwrap();
    let (guest, _) = Stream::start(Backend::null(), 4096, &handle).unwrap();
    let console = Console::new(ConsoleConfig::default(), guest.clone(), Vec::new(), &handle);
    let console = console.unwrap();
    (console, guest, handle, thread)
}

#[test]
fn new_size_shows_in_the_configuration_and_interrupts_who_negotiated_it() {
    let (mut console, _, handle, thread) = console();
    let mut config = [0xff; 12];
    console.read_config(0, &mut config);
    assert_eq!(config, [80, 0, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0]);

    let driver = FakeDriver::new(16);
    console.resize(ConsoleSize { columns: 100, rows: 30 });
    let activation = |features| Activation { features, interrupt: driver.interrupt.clone() };
    console.activate(activation(0));
    console.resize(ConsoleSize { columns: 110, rows: 30 });
    assert_eq!(driver.interrupt.config.load(Relaxed), 0);
    console.activate(activation(console.features()));
    console.resize(ConsoleSize { columns: 300, rows: 31 });
    assert_eq!(driver.interrupt.config.load(Relaxed), 1);
    let mut size = [0; 4];
    console.read_config(0, &mut size);
    assert_eq!(size, [44, 1, 31, 0]);
    handle.end();
    thread.join().unwrap();
}

#[derive(Default)]
struct Panics(AtomicUsize);

impl GuestRequests for Panics {
    fn request(&self, request: GuestRequest) {
        assert_eq!(request, GuestRequest::Panicked);
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn printed_panic_is_passed_on() {
    let mut bench = Bench::new();
    let panics = Arc::<Panics>::default();
    bench.guest.report_panics(panics.clone());
    bench.tx.write(DATA, b"[1.0] Kernel panic - not syncing: no init");
    bench.tx.add(&[Part::Read(DATA, 20)]);
    bench.tx.add(&[Part::Read(DATA + 20, 21)]);
    bench.kick();
    assert_eq!(panics.0.load(Relaxed), 1);
}

#[test]
fn emergency_write_needs_no_queue() {
    let (mut console, guest, handle, thread) = console();
    for byte in b"Oops" {
        console.write_config(8, &u32::from(*byte).to_le_bytes());
    }
    console.write_config(0, &[1, 2]);
    console.write_config(8, &[]);
    assert_eq!(guest.log().tail(10), b"Oops");
    handle.end();
    thread.join().unwrap();
}
