//! How fast the socket device moves data, without a virtual machine: a model of a driver on one
//! thread with the device, a host program on another, and for comparison the same unix socket
//! with nothing in between.
//!
//! `cargo run --release -p devices --features fake-driver --example vsock_throughput`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use devices::virtio::event_loop::FakeLoop;
use devices::virtio::fake_driver::{DATA, FakeDriver, Part};
use devices::virtio::vsock::{VsockConfig, VsockHandler};
use devices::vsock::HostSockets;

type Fallible<T> = Result<T, Box<dyn Error>>;

const CID: u64 = 3;
const PORT: u32 = 52;
const HEADER: usize = 44;
const TOTAL: usize = 2 << 30;
/// Guest memory for each packet.
const SPACE: u64 = 128 << 10;
const RX_BASE: u64 = DATA + 128 * SPACE;
const REQUEST: u16 = 1;
const DATA_OP: u16 = 5;
const CREDIT_UPDATE: u16 = 6;

fn header(op: u16, len: u32, forwarded: u32) -> [u8; HEADER] {
    let mut raw = [0; HEADER];
    raw[0..8].copy_from_slice(&CID.to_le_bytes());
    raw[8..16].copy_from_slice(&2u64.to_le_bytes());
    raw[16..20].copy_from_slice(&1000u32.to_le_bytes());
    raw[20..24].copy_from_slice(&PORT.to_le_bytes());
    raw[24..28].copy_from_slice(&len.to_le_bytes());
    raw[28..30].copy_from_slice(&1u16.to_le_bytes());
    raw[30..32].copy_from_slice(&op.to_le_bytes());
    raw[36..40].copy_from_slice(&(256u32 << 10).to_le_bytes());
    raw[40..44].copy_from_slice(&forwarded.to_le_bytes());
    raw
}

fn word(raw: &[u8], at: usize) -> u32 {
    raw.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// A guest with one connection to a host program.
struct Guest {
    rx: FakeDriver,
    tx: FakeDriver,
    handler: VsockHandler,
    events: FakeLoop,
    sent: u64,
    posted: u64,
    collected: u64,
    /// Bytes of data got.
    got: u64,
    window: u32,
    freed: u32,
}

impl Guest {
    fn connect(folder: &std::path::Path) -> Fallible<(Self, UnixStream)> {
        let sockets = HostSockets::bind(&folder.join("v"))?;
        let listener = UnixListener::bind(folder.join(format!("v_{PORT}")))?;
        let rx = FakeDriver::new(256).with_event_idx();
        let tx = rx.sibling(1, 256).with_event_idx();
        let mut guest = Self {
            handler: VsockHandler::new(&VsockConfig::new(CID), sockets)?,
            events: FakeLoop::new()?,
            sent: 0,
            posted: 0,
            collected: 0,
            got: 0,
            window: 0,
            freed: 0,
            rx,
            tx,
        };
        for queue in [guest.rx.queue(), guest.tx.queue()] {
            guest.events.start_queue(&mut guest.handler, queue)?;
        }
        guest.post(4096);
        guest.send(REQUEST, 0);
        guest.turn(-1)?;
        Ok((guest, listener.accept()?.0))
    }

    fn post(&mut self, room: u32) {
        while self.posted - self.collected < 64 {
            let at = RX_BASE + self.posted % 64 * SPACE;
            self.rx.add(&[Part::Write(at, HEADER as u32), Part::Write(at + 64, room)]);
            self.posted += 1;
        }
        // Fails only when it is signalled already.
        let _ = self.rx.kick.write(1);
    }

    fn send(&mut self, op: u16, len: u32) {
        let at = DATA + self.sent % 64 * SPACE;
        self.tx.write(at, &header(op, len, self.got as u32));
        self.tx.add(&[Part::Read(at, HEADER as u32), Part::Read(at + 64, len)]);
        self.sent += 1;
        let _ = self.tx.kick.write(1);
    }

    fn turn(&mut self, timeout: i32) -> Fallible<()> {
        let _ = self.events.turn(&mut self.handler, timeout)?;
        for _ in self.rx.used() {
            let raw = self.rx.read(RX_BASE + self.collected % 64 * SPACE, HEADER);
            self.collected += 1;
            (self.window, self.freed) = (word(&raw, 36), word(&raw, 40));
            self.got += u64::from(word(&raw, 24));
        }
        self.tx.used();
        Ok(())
    }
}

fn drain(mut stream: UnixStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn fill(mut stream: UnixStream) -> std::io::Result<()> {
    let buffer = vec![0; 64 << 10];
    for _ in 0..TOTAL / buffer.len() {
        stream.write_all(&buffer)?;
    }
    Ok(())
}

fn to_host(len: u32) -> Fallible<f64> {
    let folder = tempfile::tempdir()?;
    let (mut guest, host) = Guest::connect(folder.path())?;
    let reader = std::thread::spawn(move || drain(host));
    let start = Instant::now();
    let mut bytes = 0u64;
    while bytes < TOTAL as u64 {
        let mut fresh = 0;
        while fresh < 32 && (bytes as u32).wrapping_sub(guest.freed) + len <= guest.window {
            guest.send(DATA_OP, len);
            bytes += u64::from(len);
            fresh += 1;
        }
        guest.post(4096);
        guest.turn(-1)?;
    }
    let took = start.elapsed().as_secs_f64();
    drop(guest);
    reader.join().map_err(|_| "the reader failed")??;
    Ok(TOTAL as f64 / took)
}

fn to_guest(room: u32) -> Fallible<f64> {
    let folder = tempfile::tempdir()?;
    let (mut guest, host) = Guest::connect(folder.path())?;
    let writer = std::thread::spawn(move || fill(host));
    let start = Instant::now();
    let mut announced = 0;
    while guest.got < TOTAL as u64 {
        guest.post(room);
        guest.turn(-1)?;
        if guest.got - announced >= 64 << 10 {
            announced = guest.got;
            guest.send(CREDIT_UPDATE, 0);
        }
    }
    let took = start.elapsed().as_secs_f64();
    writer.join().map_err(|_| "the writer failed")??;
    Ok(TOTAL as f64 / took)
}

fn socket_alone() -> Fallible<f64> {
    let (ours, theirs) = UnixStream::pair()?;
    let reader = std::thread::spawn(move || drain(theirs));
    let start = Instant::now();
    fill(ours)?;
    let took = start.elapsed().as_secs_f64();
    reader.join().map_err(|_| "the reader failed")??;
    Ok(TOTAL as f64 / took)
}

fn main() -> Fallible<()> {
    for _ in 0..3 {
        let alone = socket_alone()?;
        println!("unix socket alone      {:6.2} GB/s", alone / 1e9);
        for len in [4 << 10, 64 << 10] {
            let rate = to_host(len)?;
            println!(
                "to host,  {:2} KiB       {:6.2} GB/s {:5.2}",
                len >> 10,
                rate / 1e9,
                rate / alone
            );
        }
        for room in [3776, 4 << 10, 64 << 10] {
            let rate = to_guest(room)?;
            println!("to guest, {room:5} bytes  {:6.2} GB/s {:5.2}", rate / 1e9, rate / alone);
        }
    }
    Ok(())
}
