//! Tests of the handler and the front against a fake driver.

mod front;
mod limits;
mod model;
mod requests;
mod uring;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tempfile::NamedTempFile;
use virtio_bindings::bindings::virtio_blk::*;

use super::config::BlockConfig;
use super::handler::BlockHandler;
use super::shared::Shared;
use crate::disk::{Disk, FileDisk, OpenOptions};
use crate::virtio::event_loop::FakeLoop;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part};

/// Where a request's parts lie; each has 64 KiB.
const HEADER: u64 = DATA;
const STATUS: u64 = DATA + 0x1_0000;
const PAYLOAD: u64 = DATA + 0x2_0000;

/// What a status byte holds before it is written.
const UNTOUCHED: u8 = 0xee;
const OK: u8 = VIRTIO_BLK_S_OK as u8;
const IOERR: u8 = VIRTIO_BLK_S_IOERR as u8;
const UNSUPP: u8 = VIRTIO_BLK_S_UNSUPP as u8;

/// A handler with one queue, a driver for it and a disk.
struct Rig {
    driver: FakeDriver,
    event_loop: FakeLoop,
    handler: BlockHandler,
    shared: Arc<Shared>,
    file: NamedTempFile,
}

impl Rig {
    /// A disk of `sectors` sectors, each filled with its number's low byte plus one.
    fn new(config: &BlockConfig, sectors: usize) -> Self {
        let file = disk_file(sectors);
        let options = OpenOptions::default();
        let disk = FileDisk::open(file.path(), options).unwrap();
        Self::over(config, Arc::new(disk), file)
    }

    fn over(config: &BlockConfig, disk: Arc<dyn Disk>, file: NamedTempFile) -> Self {
        let mut handler = BlockHandler::alone(config, disk).unwrap();
        let shared = handler.shared();
        let driver = FakeDriver::new(config.queue_size);
        let mut event_loop = FakeLoop::new().unwrap();
        event_loop.start_queue(&mut handler, driver.queue()).unwrap();
        Self { driver, event_loop, handler, shared, file }
    }

    fn kick(&mut self) {
        self.driver.kick.write(1).unwrap();
        self.turn(0);
    }

    /// Lets the handler deal with events; returns how many there were.
    fn turn(&mut self, timeout_ms: i32) -> usize {
        loop {
            match self.event_loop.turn(&mut self.handler, timeout_ms) {
                // The kernel interrupts a wait to let the thread do its part for io_uring.
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                events => return events.unwrap(),
            }
        }
    }

    /// Writes the header of a request.
    fn header(&self, kind: u32, sector: u64) {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        self.driver.write(HEADER, &header);
        self.driver.write(STATUS, &[UNTOUCHED]);
    }

    /// Makes a request of these parts and returns its status byte and its used length.
    fn chain(&mut self, parts: &[Part]) -> (u8, u32) {
        let head = self.driver.add(parts);
        self.kick();
        let used = self.wait_for_used();
        assert_eq!(used.len(), 1);
        assert_eq!(used[0].0, head);
        (self.driver.read(STATUS, 1)[0], used[0].1)
    }

    fn wait_for_used(&mut self) -> Vec<(u16, u32)> {
        loop {
            let used = self.driver.used();
            if !used.is_empty() {
                return used;
            }
            assert!(self.turn(10_000) > 0, "no completion in 10 seconds");
        }
    }

    /// A request with the usual three parts.
    fn request(&mut self, kind: u32, sector: u64, data: &[Part]) -> (u8, u32) {
        self.header(kind, sector);
        let mut parts = vec![Part::Read(HEADER, 16)];
        parts.extend(data);
        parts.push(Part::Write(STATUS, 1));
        self.chain(&parts)
    }

    fn read(&mut self, sector: u64, len: u32) -> (u8, u32) {
        self.request(VIRTIO_BLK_T_IN, sector, &[Part::Write(PAYLOAD, len)])
    }

    fn write(&mut self, sector: u64, len: u32) -> (u8, u32) {
        self.request(VIRTIO_BLK_T_OUT, sector, &[Part::Read(PAYLOAD, len)])
    }

    /// A discard or write-zeroes request of these segments: sector, sectors, flags.
    fn zeroing(&mut self, kind: u32, segments: &[(u64, u32, u32)]) -> (u8, u32) {
        let mut data = Vec::new();
        for (sector, sectors, flags) in segments {
            data.extend(sector.to_le_bytes());
            data.extend(sectors.to_le_bytes());
            data.extend(flags.to_le_bytes());
        }
        self.driver.write(PAYLOAD, &data);
        self.request(kind, 0, &[Part::Read(PAYLOAD, data.len() as u32)])
    }

    fn disk_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        File::open(self.file.path()).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn disk_byte(&self, sector: u64) -> u8 {
        self.disk_bytes()[sector as usize * 512]
    }
}

fn disk_file(sectors: usize) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    for sector in 0..sectors {
        let data = [(sector as u8).wrapping_add(1); 512];
        file.as_file().write_all_at(&data, sector as u64 * 512).unwrap();
    }
    file
}
