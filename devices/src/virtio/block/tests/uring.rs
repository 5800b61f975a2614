//! The io_uring engine. Where the host forbids it these tests fail rather than pass unseen.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;

use super::*;
use crate::disk::{BackingFile, Extent};
use crate::virtio::Buffers;
use crate::virtio::block::config::Cache;
use crate::virtio::block::engine::{Engine, EngineKind};
use crate::virtio::block::uring::Uring;

/// What a [`Fake`] disk reads as without the ring.
const FAKE_BYTE: u8 = 0x42;

/// A disk whose file is a pipe, if it has one: so that reads stay in flight until the test writes
/// to the other end.
#[derive(Debug)]
struct Fake(Option<PipeReader>);

impl Disk for Fake {
    fn size(&self) -> u64 {
        1 << 20
    }
    fn refresh_size(&self) -> io::Result<u64> {
        Ok(self.size())
    }
    fn is_read_only(&self) -> bool {
        false
    }
    fn read(&self, data: Buffers, _: u64) -> io::Result<()> {
        data.copy_from(&[FAKE_BYTE]).map(|_| ())
    }
    fn write(&self, _: Buffers, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn discard(&self, _: Extent) -> io::Result<()> {
        Ok(())
    }
    fn write_zeroes(&self, _: Extent, _: bool) -> io::Result<()> {
        Ok(())
    }
    fn file(&self) -> Option<BackingFile<'_>> {
        self.0.as_ref().map(|pipe| BackingFile { fd: pipe.as_fd(), has_holes: false })
    }
}

/// A rig over a pipe, with `count` reads of 512 bytes in flight.
fn stuck_rig(queue_size: u16, count: u64) -> (Rig, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    let config = BlockConfig { engine: EngineKind::Async, queue_size, ..BlockConfig::default() };
    let mut rig = Rig::over(&config, Arc::new(Fake(Some(reader))), disk_file(0));
    assert!(rig.handler.uses_io_uring(), "this host forbids io_uring");
    rig.header(VIRTIO_BLK_T_IN, 0);
    for i in 0..count {
        rig.driver.add(&[
            Part::Read(HEADER, 16),
            Part::Write(PAYLOAD + i * 0x1000, 512),
            Part::Write(STATUS, 1),
        ]);
    }
    rig.kick();
    assert_eq!(rig.driver.used(), []);
    (rig, writer)
}

#[test]
fn stopped_queue_has_nothing_in_flight_and_goes_on_where_it_was() {
    let (mut rig, mut writer) = stuck_rig(64, 20);
    writer.write_all(&[7; 20 * 512]).unwrap();
    let state = rig.event_loop.stop_queue(&mut rig.handler, 0).unwrap();
    assert_eq!((state.next_available, state.next_used), (20, 20));
    assert_eq!(rig.driver.used().len(), 20);
    assert_eq!(rig.driver.read(PAYLOAD + 19 * 0x1000 + 511, 1), [7]);
    rig.event_loop.start_queue(&mut rig.handler, rig.driver.queue_at(state)).unwrap();
    writer.write_all(&[8; 512]).unwrap();
    assert_eq!(rig.read(0, 512), (OK, 513));
}

#[test]
fn dropped_handler_waits_for_what_is_in_flight() {
    let (rig, mut writer) = stuck_rig(64, 2);
    let filler = std::thread::spawn(move || writer.write_all(&[7; 2 * 512]).map(|()| writer));
    drop(rig.handler);
    assert_eq!(rig.driver.read(PAYLOAD + 0x1000, 512), [7; 512]);
    filler.join().unwrap().unwrap();
}

#[test]
fn one_head_offered_over_and_over_keeps_the_requests_in_flight_bounded() {
    let (mut rig, mut writer) = stuck_rig(4, 1);
    for _ in 0..3 {
        rig.driver.make_available(0);
    }
    rig.kick();
    // Four are in flight, and there is no room for more.
    for _ in 0..4 {
        rig.driver.make_available(0);
    }
    rig.kick();
    assert_eq!(rig.handler.waiting(), Some(4));
    writer.write_all(&[7; 8 * 512]).unwrap();
    let mut used = 0;
    while used < 8 {
        used += rig.wait_for_used().len();
    }
    assert_eq!(used, 8);
    assert_eq!(*rig.driver.interrupt.resets.lock().unwrap(), [""; 0]);
}

#[test]
fn transfer_that_is_cut_short_goes_on() {
    let (mut rig, mut writer) = stuck_rig(4, 1);
    writer.write_all(&[7; 100]).unwrap();
    while rig.turn(100) > 0 {}
    assert_eq!(rig.driver.used(), []);
    writer.write_all(&[8; 412]).unwrap();
    assert_eq!(rig.wait_for_used(), [(0, 513)]);
    let data = rig.driver.read(PAYLOAD, 512);
    assert_eq!((data[99], data[100], data[511]), (7, 8, 8));
}

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

#[test]
fn segments_are_zeroed_through_the_ring() {
    let mut rig = rig(64, 16);
    let unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
    let segments = [(1, 2, 0), (8, 1, unmap), (20, 0, 0)];
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &segments), (OK, 1));
    let sectors: Vec<u8> = (0..10).map(|s| rig.disk_byte(s)).collect();
    assert_eq!(sectors, [1, 0, 0, 4, 5, 6, 7, 8, 0, 10]);
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &[(16, 8, 0), (32, 8, 0)]), (OK, 1));
    let around: Vec<u8> = [15, 24, 31, 40].map(|s| rig.disk_byte(s)).into();
    assert_eq!(around, [16, 25, 32, 41]);
    assert_eq!(rig.disk_bytes().len(), 64 * 512);
}

#[test]
fn request_of_empty_segments_succeeds() {
    let mut rig = rig(8, 16);
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &[(0, 0, 0)]), (OK, 1));
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &[(0, 0, 0)]), (OK, 1));
}

#[test]
fn file_exchanged_before_the_first_start_is_the_one_used() {
    let file = disk_file(4);
    let config = BlockConfig { engine: EngineKind::Async, ..BlockConfig::default() };
    let open = |f: &NamedTempFile| FileDisk::open(f.path(), OpenOptions::default()).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(open(&file));
    let mut handler = BlockHandler::alone(&config, disk).unwrap();
    let shared = handler.shared();
    let mut event_loop = FakeLoop::new().unwrap();
    let other = disk_file(64);
    handler.replace_disk(Arc::new(open(&other)), &mut event_loop.context());
    let driver = FakeDriver::new(config.queue_size);
    event_loop.start_queue(&mut handler, driver.queue()).unwrap();
    assert!(handler.uses_io_uring());
    let mut rig = Rig { driver, event_loop, handler, shared, file: other };
    assert_eq!(rig.read(60, 512), (OK, 513));
    assert_eq!(rig.driver.read(PAYLOAD, 1), [61]);
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
    let mut rig = rig(4, 16);
    rig.handler.replace_disk(Arc::new(Fake(None)), &mut rig.event_loop.context());
    assert!(!rig.handler.uses_io_uring());
    assert_eq!(rig.read(6, 512), (OK, 513));
    assert_eq!(rig.driver.read(PAYLOAD, 1), [FAKE_BYTE]);
}

#[test]
fn ring_that_cannot_be_made_leaves_the_synchronous_engine() {
    let file = disk_file(1);
    let disk = FileDisk::open(file.path(), OpenOptions::default()).unwrap();
    // The kernel refuses a ring of no entries as it refuses one that is not permitted.
    assert!(matches!(Engine::new(EngineKind::Async, &disk, 0), Engine::Sync));
    assert!(matches!(Engine::new(EngineKind::Async, &disk, 4), Engine::Uring(_)));
}

#[test]
fn ring_may_do_nothing_but_disk_requests() {
    let file = disk_file(1);
    let disk = FileDisk::open(file.path(), OpenOptions::default()).unwrap();
    let mut ring = Uring::new(disk.file().unwrap(), 4).unwrap();
    ring.enable().unwrap();
    assert_eq!(ring.try_no_op(), -libc::EACCES);
}
