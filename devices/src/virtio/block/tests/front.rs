//! Features, configuration space and changes of a device in use, on a real event loop.

use std::sync::atomic::Ordering;

use super::*;
use crate::virtio::block::config::{Cache, bit};
use crate::virtio::block::{Block, EngineKind, UpdateBlockError};
use crate::virtio::event_loop::{EventLoop, LoopHandle};
use crate::virtio::{Activation, VirtioDevice};

struct Loop(LoopHandle, Option<std::thread::JoinHandle<()>>);

impl Loop {
    fn new() -> Self {
        let (handle, thread) = EventLoop::spawn("test", || ()).unwrap();
        Self(handle, Some(thread))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.0.end();
        self.1.take().map(std::thread::JoinHandle::join);
    }
}

fn block(config: &BlockConfig, file: &NamedTempFile, event_loop: &Loop) -> Block {
    let disk = FileDisk::open(file.path(), OpenOptions::default()).unwrap();
    Block::new(config, disk, std::slice::from_ref(&event_loop.0)).unwrap()
}

fn config_u8(block: &Block, offset: u64) -> u8 {
    let mut data = [0; 1];
    block.read_config(offset, &mut data);
    data[0]
}

fn config_u16(block: &Block, offset: u64) -> u16 {
    let mut data = [0; 2];
    block.read_config(offset, &mut data);
    u16::from_le_bytes(data)
}

fn config_u32(block: &Block, offset: u64) -> u32 {
    let mut data = [0; 4];
    block.read_config(offset, &mut data);
    u32::from_le_bytes(data)
}

fn capacity(block: &Block) -> u64 {
    let mut data = [0; 8];
    block.read_config(0, &mut data);
    u64::from_le_bytes(data)
}

fn activate(block: &mut Block, driver: &FakeDriver) {
    let features = block.features();
    block.activate(Activation { features, interrupt: driver.interrupt.clone() });
}

#[test]
fn configuration_space_describes_the_disk() {
    let (event_loop, file) = (Loop::new(), disk_file(9));
    let config = BlockConfig {
        queues: 4,
        queue_size: 128,
        discard: true,
        cache: Cache::Writeback,
        block_size: 512,
        physical_block_size: 4096,
        ..BlockConfig::default()
    };
    let block = block(&config, &file, &event_loop);
    assert_eq!(capacity(&block), 9);
    assert_eq!(config_u32(&block, 12), 126, "seg_max");
    assert_eq!(config_u32(&block, 20), 512, "blk_size");
    assert_eq!(config_u8(&block, 24), 3, "physical_block_exp");
    assert_eq!(config_u16(&block, 26), 8, "min_io_size");
    assert_eq!(config_u8(&block, 32), 1, "writeback");
    assert_eq!(config_u16(&block, 34), 4, "num_queues");
    assert_eq!(config_u32(&block, 40), 16, "max_discard_seg");
    assert_eq!(config_u32(&block, 44), 1, "discard_sector_alignment");
    assert_eq!(config_u32(&block, 52), 16, "max_write_zeroes_seg");
    assert_eq!(config_u8(&block, 56), 1, "write_zeroes_may_unmap");
    assert_eq!(block.queue_sizes(), [128; 4]);
}

#[test]
fn features_follow_the_configuration() {
    let event_loop = Loop::new();
    let file = disk_file(1);
    let full =
        BlockConfig { queues: 2, discard: true, cache: Cache::Writeback, ..BlockConfig::default() };
    let features = block(&full, &file, &event_loop).features();
    for feature in [
        VIRTIO_BLK_F_FLUSH,
        VIRTIO_BLK_F_CONFIG_WCE,
        VIRTIO_BLK_F_DISCARD,
        VIRTIO_BLK_F_WRITE_ZEROES,
        VIRTIO_BLK_F_MQ,
    ] {
        assert_ne!(features & bit(feature), 0, "feature {feature}");
    }
    assert_eq!(features & bit(VIRTIO_BLK_F_RO), 0);
    let plain_file = disk_file(1);
    let plain = block(&BlockConfig::default(), &plain_file, &event_loop).features();
    let expected =
        bit(VIRTIO_BLK_F_SEG_MAX) | bit(VIRTIO_BLK_F_BLK_SIZE) | bit(VIRTIO_BLK_F_TOPOLOGY);
    assert_eq!(plain, expected);
}

#[test]
fn driver_switches_the_cache_off_and_a_reset_switches_it_on() {
    let (event_loop, file, driver) = (Loop::new(), disk_file(1), FakeDriver::new(16));
    let config = BlockConfig { cache: Cache::Writeback, ..BlockConfig::default() };
    let mut block = block(&config, &file, &event_loop);
    activate(&mut block, &driver);
    assert!(!block.writes_through());
    block.write_config(32, &[0]);
    assert!(block.writes_through());
    block.write_config(32, &[2]);
    assert_eq!(config_u8(&block, 32), 0, "a value that is no cache mode is ignored");
    block.reset();
    assert_eq!(config_u8(&block, 32), 1);
    activate(&mut block, &driver);
    assert!(!block.writes_through());
}

#[test]
fn driver_that_knows_no_flush_gets_durable_writes() {
    let (event_loop, file, driver) = (Loop::new(), disk_file(1), FakeDriver::new(16));
    let config = BlockConfig { cache: Cache::Writeback, ..BlockConfig::default() };
    let mut block = block(&config, &file, &event_loop);
    block.activate(Activation { features: 0, interrupt: driver.interrupt.clone() });
    assert!(block.writes_through());
}

#[test]
fn writes_to_other_configuration_fields_are_ignored() {
    let (event_loop, file) = (Loop::new(), disk_file(3));
    let mut block = block(&BlockConfig::default(), &file, &event_loop);
    block.write_config(0, &[0xff; 8]);
    block.write_config(32, &[1]);
    block.write_config(u64::MAX, &[1]);
    assert_eq!((capacity(&block), config_u8(&block, 32)), (3, 0));
}

#[test]
fn grown_file_is_announced_with_a_configuration_change() {
    let (event_loop, file, driver) = (Loop::new(), disk_file(4), FakeDriver::new(16));
    let mut block = block(&BlockConfig::default(), &file, &event_loop);
    activate(&mut block, &driver);
    file.as_file().set_len(10 * 512).unwrap();
    assert_eq!(block.refresh_size().unwrap(), 10 * 512);
    assert_eq!(capacity(&block), 10);
    assert_eq!(driver.interrupt.config.load(Ordering::Relaxed), 1);
    block.refresh_size().unwrap();
    assert_eq!(driver.interrupt.config.load(Ordering::Relaxed), 1, "nothing changed");
}

#[test]
fn size_that_changed_while_a_driver_began_is_announced_once_it_runs() {
    let (event_loop, file, driver) = (Loop::new(), disk_file(4), FakeDriver::new(16));
    let mut block = block(&BlockConfig::default(), &file, &event_loop);
    file.as_file().set_len(10 * 512).unwrap();
    block.refresh_size().unwrap();
    activate(&mut block, &driver);
    assert_eq!(driver.interrupt.config.load(Ordering::Relaxed), 1);
    file.as_file().set_len(12 * 512).unwrap();
    block.reset();
    block.refresh_size().unwrap();
    block.reset();
    activate(&mut block, &driver);
    assert_eq!(driver.interrupt.config.load(Ordering::Relaxed), 1, "it was read after the reset");
}

#[test]
fn exchanged_file_serves_the_next_requests() {
    let (event_loop, file, other) = (Loop::new(), disk_file(4), disk_file(6));
    let mut driver = FakeDriver::new(16);
    let config = BlockConfig { engine: EngineKind::Async, ..BlockConfig::default() };
    let mut block = block(&config, &file, &event_loop);
    activate(&mut block, &driver);
    block.start_queue(driver.queue()).unwrap();
    block.replace_file(other.path()).unwrap();
    assert_eq!(capacity(&block), 6);
    assert_eq!(driver.interrupt.config.load(Ordering::Relaxed), 1);
    let mut header = [0; 16];
    header[8] = 5;
    driver.write(HEADER, &header);
    driver.add(&[Part::Read(HEADER, 16), Part::Write(PAYLOAD, 512), Part::Write(STATUS, 1)]);
    let state = block.stop_queue(0).unwrap();
    block.start_queue(driver.queue_at(state)).unwrap();
    block.stop_queue(0).unwrap();
    assert_eq!(driver.used(), [(0, 513)]);
    assert_eq!(driver.read(PAYLOAD, 1), [6]);
    assert!(FileDisk::open(file.path(), OpenOptions::default()).is_ok(), "the old lock is gone");
}

#[test]
fn failed_exchange_keeps_the_old_file() {
    let (event_loop, file) = (Loop::new(), disk_file(4));
    let mut block = block(&BlockConfig::default(), &file, &event_loop);
    let error = block.replace_file(std::path::Path::new("/nonexistent")).unwrap_err();
    assert!(matches!(error, UpdateBlockError::Open(_)), "{error}");
    assert_eq!(capacity(&block), 4);
    assert_eq!(block.metrics().failed_updates.get(), 1);
}

#[test]
fn each_queue_is_served_and_stopped_by_itself() {
    let (event_loop, file) = (Loop::new(), disk_file(4));
    let config = BlockConfig { queues: 2, queue_size: 16, ..BlockConfig::default() };
    let mut block = block(&config, &file, &event_loop);
    let first = FakeDriver::new(16);
    let mut second = first.sibling(1, 16);
    activate(&mut block, &first);
    first.write(HEADER, &[0; 16]);
    second.add(&[Part::Read(HEADER, 16), Part::Write(PAYLOAD, 512), Part::Write(STATUS, 1)]);
    block.start_queue(first.queue()).unwrap();
    block.start_queue(second.queue()).unwrap();
    assert_eq!(block.stop_queue(1).map(|s| s.next_used), Some(1));
    assert_eq!(block.stop_queue(1), None);
    assert_eq!(block.stop_queue(0).map(|s| s.next_used), Some(0));
    assert_eq!(block.stop_queue(2), None);
    assert_eq!(second.used(), [(0, 513)]);
}
