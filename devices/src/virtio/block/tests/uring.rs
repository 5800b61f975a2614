//! The io_uring engine. Where the host forbids it these tests fail rather than pass unseen.

use super::*;
use crate::virtio::block::config::Cache;
use crate::virtio::block::engine::{Engine, EngineKind};
use crate::virtio::block::uring::Uring;

fn rig(sectors: usize, queue_size: u16) -> Rig {
    let config = BlockConfig {
        engine: EngineKind::Async,
        cache: Cache::Writeback,
        discard: true,
        queue_size,
        ..BlockConfig::default()
    };
    let rig = Rig::new(&config, sectors);
    assert!(rig.handler.uses_io_uring(), "this host forbids io_uring");
    rig
}

#[test]
fn written_sectors_are_read_back() {
    let mut rig = rig(64, 16);
    rig.driver.write(PAYLOAD, &[0x5a; 1024]);
    assert_eq!(rig.write(2, 1024), (OK, 1));
    assert_eq!(rig.request(VIRTIO_BLK_T_FLUSH, 0, &[]), (OK, 1));
    rig.driver.write(PAYLOAD, &[0; 2048]);
    assert_eq!(rig.read(1, 2048), (OK, 2049));
    let data = rig.driver.read(PAYLOAD, 2048);
    assert_eq!((data[511], data[512], data[1535], data[1536]), (2, 0x5a, 0x5a, 5));
}

#[test]
fn scattered_data_is_in_order() {
    let mut rig = rig(64, 16);
    let parts = [Part::Write(PAYLOAD, 100), Part::Write(PAYLOAD + 0x1000, 924)];
    assert_eq!(rig.request(VIRTIO_BLK_T_IN, 0, &parts), (OK, 1025));
    assert_eq!(rig.driver.read(PAYLOAD + 0x1000 + 411, 2), [1, 2]);
    rig.driver.write(PAYLOAD, &[9; 0x2000]);
    let parts = [Part::Read(PAYLOAD, 500), Part::Read(PAYLOAD + 0x1000, 524)];
    assert_eq!(rig.request(VIRTIO_BLK_T_OUT, 4, &parts), (OK, 1));
    assert_eq!((rig.disk_byte(3), rig.disk_byte(5), rig.disk_byte(6)), (4, 9, 7));
}

#[test]
fn refused_and_synchronous_requests_are_answered_too() {
    let mut rig = rig(64, 16);
    assert_eq!(rig.read(64, 512), (IOERR, 0));
    assert_eq!(rig.request(99, 0, &[]), (UNSUPP, 1));
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &[(3, 1, 0)]), (OK, 1));
    assert_eq!(rig.disk_byte(3), 0);
}

#[test]
fn file_truncated_under_the_guest_returns_ioerr() {
    let mut rig = rig(64, 16);
    rig.file.as_file().set_len(512).unwrap();
    assert_eq!(rig.read(2, 512), (IOERR, 0));
    assert_eq!(rig.read(0, 1024), (IOERR, 0), "a part of it is there");
    assert_eq!(rig.read(0, 512), (OK, 513));
}

#[test]
fn write_through_write_succeeds() {
    let mut rig = rig(64, 16);
    rig.shared.set_write_through(true);
    rig.driver.write(PAYLOAD, &[3; 512]);
    assert_eq!(rig.write(9, 512), (OK, 1));
    assert_eq!(rig.disk_byte(9), 3);
}

/// Adds `count` reads of sector 0 with parts of their own; returns where their status bytes are.
fn add_reads(rig: &mut Rig, count: u64) -> Vec<u64> {
    rig.header(VIRTIO_BLK_T_IN, 0);
    (0..count)
        .map(|i| {
            let (data, status) = (PAYLOAD + i * 0x1000, PAYLOAD + i * 0x1000 + 512);
            rig.driver.write(status, &[UNTOUCHED]);
            rig.driver.add(&[
                Part::Read(HEADER, 16),
                Part::Write(data, 512),
                Part::Write(status, 1),
            ]);
            status
        })
        .collect()
}

#[test]
fn stopped_queue_has_nothing_in_flight_and_goes_on_where_it_was() {
    let mut rig = rig(64, 64);
    let first = add_reads(&mut rig, 20);
    rig.driver.kick.write(1).unwrap();
    rig.event_loop.turn(&mut rig.handler, 0).unwrap();
    let state = rig.event_loop.stop_queue(&mut rig.handler, 0).unwrap();
    assert_eq!((state.next_available, state.next_used), (20, 20));
    assert!(first.iter().all(|s| rig.driver.read(*s, 1) == [OK]));
    assert_eq!(rig.driver.used().len(), 20);
    let second = add_reads(&mut rig, 1);
    rig.event_loop.start_queue(&mut rig.handler, rig.driver.queue_at(state)).unwrap();
    assert_eq!(rig.wait_for_used().len(), 1);
    assert_eq!(rig.driver.read(second[0], 1), [OK]);
}

#[test]
fn one_head_offered_over_and_over_keeps_the_requests_in_flight_bounded() {
    let mut rig = rig(64, 4);
    rig.header(VIRTIO_BLK_T_IN, 0);
    let head = rig.driver.add(&[
        Part::Read(HEADER, 16),
        Part::Write(PAYLOAD, 512),
        Part::Write(STATUS, 1),
    ]);
    for _ in 0..3 {
        rig.driver.make_available(head);
    }
    rig.kick();
    let mut used = 0;
    while used < 4 {
        used += rig.wait_for_used().len();
    }
    assert_eq!(used, 4);
    assert_eq!(*rig.driver.interrupt.resets.lock().unwrap(), [""; 0]);
}

#[test]
fn file_is_exchanged_in_the_ring() {
    let mut rig = rig(4, 16);
    let other = disk_file(8);
    other.as_file().write_all_at(&[0x77; 512], 0).unwrap();
    let disk = FileDisk::open(other.path(), OpenOptions::default()).unwrap();
    rig.handler.replace_disk(Arc::new(disk), &mut rig.event_loop.context());
    assert!(rig.handler.uses_io_uring());
    assert_eq!(rig.read(0, 512), (OK, 513));
    assert_eq!(rig.driver.read(PAYLOAD, 1), [0x77]);
    assert_eq!(rig.read(7, 512), (OK, 513));
}

#[test]
fn disk_without_a_file_is_served_synchronously() {
    #[derive(Debug)]
    struct Mapped(FileDisk);
    impl Disk for Mapped {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn refresh_size(&self) -> std::io::Result<u64> {
            self.0.refresh_size()
        }
        fn is_read_only(&self) -> bool {
            false
        }
        fn read(&self, data: crate::virtio::Buffers, offset: u64) -> std::io::Result<()> {
            self.0.read(data, offset)
        }
        fn write(&self, data: crate::virtio::Buffers, offset: u64) -> std::io::Result<()> {
            self.0.write(data, offset)
        }
        fn flush(&self) -> std::io::Result<()> {
            self.0.flush()
        }
        fn discard(&self, extent: crate::disk::Extent) -> std::io::Result<()> {
            self.0.discard(extent)
        }
        fn write_zeroes(&self, extent: crate::disk::Extent, unmap: bool) -> std::io::Result<()> {
            self.0.write_zeroes(extent, unmap)
        }
    }
    let mut rig = rig(4, 16);
    let other = disk_file(8);
    let disk = FileDisk::open(other.path(), OpenOptions::default()).unwrap();
    rig.handler.replace_disk(Arc::new(Mapped(disk)), &mut rig.event_loop.context());
    assert!(!rig.handler.uses_io_uring());
    assert_eq!(rig.read(6, 512), (OK, 513));
    assert_eq!(rig.driver.read(PAYLOAD, 1), [7]);
}

#[test]
fn ring_may_do_nothing_but_disk_requests() {
    let file = disk_file(1);
    let disk = FileDisk::open(file.path(), OpenOptions::default()).unwrap();
    let mut ring = Uring::new(disk.file().unwrap(), 4).unwrap();
    ring.enable().unwrap();
    assert_eq!(ring.try_no_op(), -libc::EACCES);
    assert!(matches!(Engine::new(EngineKind::Sync, &disk, 4), Engine::Sync));
}
