//! Requests to a block device: whatever they are, each is answered once and none reaches beyond
//! the disk.
#![no_main]

use std::sync::Arc;

use devices::virtio::block::{BlockConfig, BlockHandler, Cache};
use devices::virtio::event_loop::FakeLoop;
use devices::virtio::fake_driver::{DATA, FakeDriver, Part};
use fuzz::chains::{AnyChain, QUEUE_SIZE, assert_returned, batch, kick};
use fuzz::disk::MemoryDisk;
use fuzz::quiet::settle;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const DISK: usize = 64 * 512;
/// Where headers lie, in front of what chains reach by chance.
const HEADERS: u64 = DATA + 0x10_0000;
const STATUS: u64 = HEADERS + 0x1000;
/// Bytes of a request's header (VIRTIO 1.3, 5.2.6).
const HEADER: u32 = 16;

#[derive(Debug, Arbitrary)]
struct Request {
    kind: u8,
    sector: Sector,
    /// The header stands in front, as it should.
    header: bool,
    /// The status byte stands at the end.
    status: bool,
    segment: (u64, u32, u32),
    chain: AnyChain,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Sector {
    Near(u8),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
struct Input {
    read_only: bool,
    writeback: bool,
    batches: Vec<Vec<Request>>,
}

fn add(driver: &mut FakeDriver, number: usize, request: &Request) -> u16 {
    let at = HEADERS + 64 * number as u64;
    let sector = match request.sector {
        Sector::Near(sector) => u64::from(sector),
        Sector::Any(sector) => sector,
    };
    driver.write(at, &u32::from(request.kind).to_le_bytes());
    driver.write(at + 8, &sector.to_le_bytes());
    let (start, sectors, flags) = request.segment;
    driver.write(DATA, &start.to_le_bytes());
    driver.write(DATA + 8, &[sectors.to_le_bytes(), flags.to_le_bytes()].concat());
    let header = [Part::Read(at, HEADER)];
    if request.header && request.status && request.kind & 1 == 0 {
        // As a driver asks for data.
        let room = Part::Write(DATA + 0x2_0000, 512 * (1 + request.segment.1 % 8));
        return request.chain.add(driver, number, &[header[0], room, Part::Write(STATUS, 1)]);
    }
    request.chain.add(driver, number, if request.header { &header } else { &[] })
}

fuzz_target!(|input: Input| {
    let config = BlockConfig {
        cache: if input.writeback { Cache::Writeback } else { Cache::Unsafe },
        discard: true,
        queue_size: QUEUE_SIZE,
        ..BlockConfig::default()
    };
    let disk = Arc::new(MemoryDisk::new(DISK, input.read_only));
    let mut handler = BlockHandler::alone(&config, disk).expect("a handler");
    let mut event_loop = FakeLoop::new().expect("a loop");
    let mut driver = FakeDriver::new(QUEUE_SIZE);
    event_loop.start_queue(&mut handler, driver.queue()).expect("the queue starts");
    for requests in batch(&input.batches) {
        let numbered = batch(requests).iter().enumerate();
        let heads: Vec<u16> = numbered.map(|(n, r)| add(&mut driver, n, r)).collect();
        kick(&driver);
        settle(&mut event_loop, &mut handler);
        assert_returned(&mut driver, &heads);
    }
    assert!(event_loop.stop_queue(&mut handler, 0).is_some(), "the queue was running");
});
