//! Packets of a guest and bytes of host programs in any order: the device answers or refuses,
//! and gives back what it was given.
#![no_main]

use std::cell::OnceCell;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use devices::virtio::event_loop::FakeLoop;
use devices::virtio::fake_driver::{DATA, FakeDriver, Part};
use devices::virtio::vsock::{VsockConfig, VsockHandler};
use devices::vsock::HostSockets;
use fuzz::chains::{AnyChain, QUEUE_SIZE, assert_returned, batch, kick};
use fuzz::quiet::settle;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const CID: u64 = 42;
const HOST: u64 = 2;
/// The port on which a host program listens.
const PORT: u32 = 52;
const STEPS: usize = 32;
/// Receive buffers: each its own, below what sent packets lie in.
const BUFFERS: u64 = DATA + 0x10_0000;
const PACKETS: u64 = DATA + 0x100_0000;
/// Bytes of a header (VIRTIO 1.3, 5.10.6).
const HEADER: u32 = 44;

/// A packet of which most fields are likely ones.
#[derive(Debug, Arbitrary)]
struct Packet {
    strange_cids: Option<(u64, u64)>,
    guest_port: u8,
    host_port: Option<u32>,
    len: Option<u32>,
    kind: Option<u16>,
    op: u8,
    flags: u8,
    buf_alloc: u32,
    fwd_cnt: u32,
    data: u16,
    rest: AnyChain,
}

impl Packet {
    fn header(&self) -> Vec<u8> {
        let (from, to) = self.strange_cids.unwrap_or((CID, HOST));
        let ports = [u32::from(self.guest_port % 4), self.host_port.unwrap_or(PORT)];
        let len = self.len.unwrap_or(u32::from(self.data));
        let kind_and_op = u32::from(self.kind.unwrap_or(1)) | u32::from(self.op % 10) << 16;
        let words = [ports[0], ports[1], len, kind_and_op, u32::from(self.flags)];
        let words = words.into_iter().chain([self.buf_alloc, self.fwd_cnt]);
        let cids = [from, to].into_iter().flat_map(u64::to_le_bytes);
        cids.chain(words.flat_map(u32::to_le_bytes)).collect()
    }
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// The guest sends packets.
    Send(Vec<Packet>),
    /// The guest offers a receive buffer.
    Offer(u16),
    /// The guest offers something odd.
    OfferOdd(AnyChain),
    /// A host program calls the guest, with this greeting.
    Call(Greeting),
    /// Host programs write, read, or close.
    Write(u8, u16),
    Read(u8, u16),
    Close(u8),
    /// The guest is paused and resumed.
    Restart,
    /// The guest resets the device.
    Reset,
}

#[derive(Debug, Arbitrary)]
enum Greeting {
    Port(u8),
    Odd(Vec<u8>),
}

/// The host's side, made once: sockets in the file system are slow.
struct Host {
    folder: TempDir,
    device: UnixListener,
    program: UnixListener,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bind = |name: &str| {
            let listener = UnixListener::bind(folder.path().join(name)).expect("a socket");
            listener.set_nonblocking(true).expect("a mode");
            listener
        };
        let (device, program) = (bind("v"), bind(&format!("v_{PORT}")));
        Self { folder, device, program }
    }

    fn sockets(&self) -> HostSockets {
        let device = self.device.try_clone().expect("a descriptor");
        HostSockets::from_listener(device, &self.folder.path().join("v")).expect("sockets")
    }
}

struct World<'a> {
    host: &'a Host,
    handler: VsockHandler,
    event_loop: FakeLoop,
    rx: FakeDriver,
    tx: FakeDriver,
    event: FakeDriver,
    programs: Vec<UnixStream>,
    offered: u64,
}

impl<'a> World<'a> {
    fn new(host: &'a Host) -> Self {
        let handler = VsockHandler::new(&VsockConfig::new(CID), host.sockets());
        let rx = FakeDriver::new(QUEUE_SIZE);
        let mut world = Self {
            host,
            handler: handler.expect("a handler"),
            event_loop: FakeLoop::new().expect("a loop"),
            tx: rx.sibling(1, QUEUE_SIZE),
            event: rx.sibling(2, QUEUE_SIZE),
            rx,
            programs: Vec::new(),
            offered: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        for queue in [self.rx.queue(), self.tx.queue(), self.event.queue()] {
            self.event_loop.start_queue(&mut self.handler, queue).expect("the queue starts");
        }
    }

    fn act(&mut self, step: &Step) {
        match step {
            Step::Send(packets) => return self.send(packets),
            Step::Offer(len) => {
                let at = BUFFERS + 0x1_0000 * (self.offered % 64);
                self.offered += 1;
                self.rx.add(&[Part::Write(at, u32::from(*len))]);
                kick(&self.rx);
            }
            Step::OfferOdd(chain) => {
                chain.add(&mut self.rx, 0, &[]);
                kick(&self.rx);
            }
            Step::Call(greeting) => self.call(greeting),
            Step::Write(which, len) => {
                if let Some(mut program) = self.program(*which) {
                    let _ = program.write(&vec![7; usize::from(*len)]);
                }
            }
            Step::Read(which, len) => {
                if let Some(mut program) = self.program(*which) {
                    let _ = program.read(&mut vec![0; usize::from(*len)]);
                }
            }
            Step::Close(which) => {
                let which = usize::from(*which) % 8;
                if which < self.programs.len() {
                    self.programs.remove(which);
                }
            }
            Step::Restart => self.restart(),
            Step::Reset => self.reset(),
        }
        self.settle();
    }

    fn program(&self, which: u8) -> Option<&UnixStream> {
        self.programs.get(usize::from(which) % 8)
    }

    fn settle(&mut self) {
        settle(&mut self.event_loop, &mut self.handler);
        while let Ok((program, _)) = self.host.program.accept() {
            program.set_nonblocking(true).expect("a mode");
            self.programs.push(program);
        }
    }

    fn send(&mut self, packets: &[Packet]) {
        let mut heads = Vec::new();
        for (number, packet) in batch(packets).iter().enumerate() {
            let at = PACKETS + 0x2_0000 * number as u64;
            self.tx.write(at, &packet.header());
            let whole = Part::Read(at, HEADER + u32::from(packet.data));
            heads.push(packet.rest.add(&mut self.tx, number, &[whole]));
        }
        kick(&self.tx);
        self.settle();
        // Without a receive buffer refusals may wait, but not so many that packets do.
        assert_returned(&mut self.tx, &heads);
    }

    fn call(&mut self, greeting: &Greeting) {
        let Ok(mut program) = UnixStream::connect(self.host.folder.path().join("v")) else {
            return;
        };
        program.set_nonblocking(true).expect("a mode");
        let text = match greeting {
            Greeting::Port(port) => format!("CONNECT {}\n", port % 4).into_bytes(),
            Greeting::Odd(bytes) => bytes.clone(),
        };
        let _ = program.write(&text);
        self.programs.push(program);
    }

    fn restart(&mut self) {
        for driver in [&self.rx, &self.tx, &self.event] {
            let index = driver.layout.descriptors / 0x1_0000;
            let state = self.event_loop.stop_queue(&mut self.handler, index as u16);
            let queue = driver.queue_at(state.expect("it ran"));
            self.event_loop.start_queue(&mut self.handler, queue).expect("the queue starts");
        }
    }

    fn reset(&mut self) {
        let states: Vec<_> =
            (0..3).map(|index| self.event_loop.stop_queue(&mut self.handler, index)).collect();
        self.handler.reset(&mut self.event_loop.context());
        assert_eq!(self.handler.connections(), 0, "a reset ends all connections");
        for (driver, state) in [&self.rx, &self.tx, &self.event].into_iter().zip(states) {
            let queue = driver.queue_at(state.expect("it ran"));
            self.event_loop.start_queue(&mut self.handler, queue).expect("the queue starts");
        }
    }
}

thread_local! {
    static HOST_SIDE: OnceCell<Host> = const { OnceCell::new() };
}

fuzz_target!(|steps: Vec<Step>| {
    HOST_SIDE.with(|host| {
        let mut world = World::new(host.get_or_init(Host::new));
        for step in steps.iter().take(STEPS) {
            world.act(step);
        }
        // Calls that nobody took must not reach the next input.
        drop(world);
        let host = host.get_or_init(Host::new);
        while host.device.accept().is_ok() || host.program.accept().is_ok() {}
    });
});
