//! Requests to a shared folder: whatever they are, each chain comes back once, and what lies
//! beside the folder stays as it was.
#![no_main]

use std::fs;
use std::sync::Once;

use devices::fs::{Opcode, Share, ShareOptions};
use devices::virtio::event_loop::FakeLoop;
use devices::virtio::fake_driver::{DATA, FakeDriver, Part};
use devices::virtio::fs::FsHandler;
use fuzz::chains::{AnyChain, QUEUE_SIZE, assert_returned, batch, kick};
use fuzz::quiet::settle;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rustix::process::{Resource, Rlimit, setrlimit};
use vmm_sys_util::signal::register_signal_handler;

/// The request queue.
const REQUESTS: u16 = 1;
/// Where requests lie, in front of what chains reach by chance, and where answers go.
const ASKED: u64 = DATA + 0x10_0000;
const ANSWERED: u64 = DATA + 0x20_0000;
/// Room for each.
const ROOM: u64 = 0x1_0000;
/// Bytes of a request's header.
const HEADER: usize = 40;
/// Names that are there, and such that lead out.
const NAMES: [&[u8]; 8] =
    [b"file\0", b"folder\0", b"link\0", b"new\0", b"..\0", b"../beside\0", b"/etc\0", b"\0"];

#[derive(Debug, Arbitrary)]
struct Request {
    /// An operation that there is, or any.
    opcode: Result<u8, u32>,
    /// A node that may be there, or any.
    node: Result<u8, u64>,
    /// How the length in the header is wrong.
    lie: i8,
    user: (u32, u32),
    /// What comes before the names: small numbers, which handles and flags are, or bytes.
    arguments: Result<Vec<u8>, Vec<u8>>,
    names: Vec<u8>,
    /// Instead of the usual chain.
    chain: Option<AnyChain>,
}

#[derive(Debug, Arbitrary)]
struct Input {
    read_only: bool,
    batches: Vec<Vec<Request>>,
}

impl Request {
    fn bytes(&self, unique: u64) -> Vec<u8> {
        let opcode = match self.opcode {
            Ok(number) => Opcode::ALL[usize::from(number) % Opcode::ALL.len()] as u32,
            Err(number) => number,
        };
        let node = self.node.map_or_else(|any| any, |small| u64::from(small % 8));
        let mut body: Vec<u8> = match &self.arguments {
            Ok(numbers) => {
                numbers.iter().take(16).flat_map(|n| u32::from(*n).to_le_bytes()).collect()
            }
            Err(bytes) => bytes.iter().copied().take(4096).collect(),
        };
        for name in self.names.iter().take(3) {
            body.extend_from_slice(NAMES[usize::from(*name) % NAMES.len()]);
        }
        let len = ((HEADER + body.len()) as u32).wrapping_add_signed(self.lie.into());
        let mut bytes = [len.to_le_bytes(), opcode.to_le_bytes()].concat();
        bytes.extend_from_slice(&[unique.to_le_bytes(), node.to_le_bytes()].concat());
        for word in [self.user.0, self.user.1, 1, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&body);
        bytes
    }

    fn add(&self, driver: &mut FakeDriver, number: usize) -> u16 {
        let at = number as u64 * ROOM;
        let bytes = self.bytes(at);
        driver.write(ASKED + at, &bytes);
        let asked = Part::Read(ASKED + at, bytes.len() as u32);
        match &self.chain {
            Some(chain) => chain.add(driver, number, &[asked]),
            None => driver.add(&[asked, Part::Write(ANSWERED + at, ROOM as u32)]),
        }
    }
}

/// Bytes to which files can be made, so that the host's disk is not filled.
const MAX_FILE: u64 = 16 << 20;
/// The kernel tells a process whose file would be longer; the call fails, too.
extern "C" fn ignore(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

fn limit_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        register_signal_handler(libc::SIGXFSZ, ignore).expect("a handler");
        let limit = Rlimit { current: Some(MAX_FILE), maximum: Some(MAX_FILE) };
        setrlimit(Resource::Fsize, limit).expect("a limit");
    });
}

/// INIT, as a guest's kernel begins.
fn begin(driver: &mut FakeDriver) -> u16 {
    let words = [56, 26, 1, 0, 1, 0, 0, 0, 0, 0, 7, 38, 0, u32::MAX];
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    driver.write(ASKED, &bytes);
    driver.add(&[Part::Read(ASKED, 56), Part::Write(ANSWERED, 80)])
}

fuzz_target!(|input: Input| {
    limit_files();
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("shared");
    fs::create_dir_all(folder.join("folder")).expect("a folder");
    fs::write(folder.join("file"), "content").expect("a file");
    std::os::unix::fs::symlink("../beside", folder.join("link")).expect("a link");
    fs::write(place.path().join("beside"), "beside").expect("a file");

    let options = ShareOptions { read_only: input.read_only, ..ShareOptions::default() };
    let share = Share::open(&folder, options).expect("a share");
    let mut handler = FsHandler::new(share, 2, 64);
    let mut event_loop = FakeLoop::new().expect("a loop");
    let mut driver = FakeDriver::new(QUEUE_SIZE).sibling(REQUESTS, QUEUE_SIZE);
    event_loop.start_queue(&mut handler, driver.queue()).expect("the queue starts");
    let first = begin(&mut driver);
    kick(&driver);
    settle(&mut event_loop, &mut handler);
    assert_returned(&mut driver, &[first]);
    for requests in batch(&input.batches) {
        let numbered = batch(requests).iter().enumerate();
        let heads: Vec<u16> = numbered.map(|(n, r)| r.add(&mut driver, n)).collect();
        kick(&driver);
        settle(&mut event_loop, &mut handler);
        assert_returned(&mut driver, &heads);
    }
    assert!(event_loop.stop_queue(&mut handler, REQUESTS).is_some(), "the queue was running");
    let beside = fs::read(place.path().join("beside")).expect("it is still there");
    assert_eq!(beside, b"beside");
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 2, "something was made");
    if input.read_only {
        assert_eq!(fs::read(folder.join("file")).expect("it is still there"), b"content");
    }
});
