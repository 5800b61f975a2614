//! What a request does, and how each broken one is answered.

use std::io;

use super::*;
use crate::disk::Extent;
use crate::virtio::Buffers;
use crate::virtio::block::config::{Cache, MAX_SEGMENT_SECTORS};

fn plain() -> Rig {
    Rig::new(&BlockConfig::default(), 64)
}

fn complete() -> Rig {
    let config = BlockConfig { cache: Cache::Writeback, discard: true, ..BlockConfig::default() };
    Rig::new(&config, 64)
}

#[test]
fn read_returns_the_sectors_and_their_length() {
    let mut rig = plain();
    assert_eq!(rig.read(3, 1024), (OK, 1025));
    let data = rig.driver.read(PAYLOAD, 1024);
    assert_eq!((data[0], data[512]), (4, 5));
    assert_eq!(rig.shared.metrics.read_bytes.get(), 1024);
}

#[test]
fn write_changes_its_sectors_and_nothing_else() {
    let mut rig = plain();
    rig.driver.write(PAYLOAD, &[0x55; 1024]);
    assert_eq!(rig.write(7, 1024), (OK, 1));
    let bytes = rig.disk_bytes();
    assert_eq!((bytes[7 * 512 - 1], bytes[9 * 512]), (7, 10));
    assert!(bytes[7 * 512..9 * 512].iter().all(|b| *b == 0x55));
    assert_eq!(rig.shared.metrics.write_bytes.get(), 1024);
}

#[test]
fn data_in_many_descriptors_is_in_order() {
    let mut rig = plain();
    let parts = [Part::Write(PAYLOAD, 100), Part::Write(PAYLOAD + 0x1000, 924)];
    assert_eq!(rig.request(VIRTIO_BLK_T_IN, 0, &parts), (OK, 1025));
    assert_eq!(rig.driver.read(PAYLOAD + 99, 1), [1]);
    assert_eq!(rig.driver.read(PAYLOAD + 0x1000 + 411, 2), [1, 2]);
}

#[test]
fn header_and_status_may_share_or_split_descriptors() {
    let mut rig = plain();
    rig.header(VIRTIO_BLK_T_IN, 1);
    let result = rig.chain(&[
        Part::Read(HEADER, 3),
        Part::Read(HEADER + 3, 13),
        Part::Write(STATUS - 512, 513),
    ]);
    assert_eq!(result, (OK, 513));
    assert_eq!(rig.driver.read(STATUS - 1, 1), [2]);
}

#[test]
fn last_sector_is_there_and_the_next_is_not() {
    let mut rig = plain();
    assert_eq!(rig.read(63, 512), (OK, 513));
    assert_eq!(rig.read(64, 512), (IOERR, 0));
}

#[test]
fn write_past_end_of_disk_returns_ioerr_and_leaves_the_size() {
    let mut rig = plain();
    assert_eq!(rig.write(63, 1024), (IOERR, 1));
    assert_eq!(rig.disk_bytes().len(), 64 * 512);
    assert_eq!(rig.shared.metrics.invalid.get(), 1);
}

#[test]
fn sector_number_that_wraps_returns_ioerr() {
    let mut rig = plain();
    assert_eq!(rig.read(u64::MAX, 512), (IOERR, 0));
    assert_eq!(rig.read(u64::MAX / 512, 512), (IOERR, 0));
}

#[test]
fn part_of_a_sector_at_the_end_of_the_file_is_not_offered() {
    let file = disk_file(2);
    file.as_file().set_len(2 * 512 + 100).unwrap();
    let disk = FileDisk::open(file.path(), OpenOptions::default()).unwrap();
    let mut rig = Rig::over(&BlockConfig::default(), Arc::new(disk), file);
    assert_eq!(rig.read(1, 512), (OK, 513));
    assert_eq!(rig.read(2, 512), (IOERR, 0));
}

#[test]
fn length_that_is_no_multiple_of_a_sector_returns_ioerr() {
    assert_eq!(plain().read(0, 511), (IOERR, 0));
    assert_eq!(plain().write(0, 513), (IOERR, 1));
}

#[test]
fn request_without_data_returns_ioerr() {
    assert_eq!(plain().request(VIRTIO_BLK_T_IN, 0, &[]), (IOERR, 1));
    assert_eq!(plain().request(VIRTIO_BLK_T_OUT, 0, &[]), (IOERR, 1));
}

#[test]
fn data_of_the_wrong_direction_returns_ioerr() {
    let mut rig = plain();
    let result = rig.request(VIRTIO_BLK_T_IN, 0, &[Part::Read(PAYLOAD, 512)]);
    assert_eq!(result, (IOERR, 1));
    let result = rig.request(VIRTIO_BLK_T_OUT, 0, &[Part::Write(PAYLOAD, 512)]);
    assert_eq!(result, (IOERR, 0));
    assert_eq!(rig.disk_byte(0), 1);
}

#[test]
fn data_outside_of_memory_returns_ioerr() {
    let mut rig = plain();
    let parts = [Part::Write(PAYLOAD, 512), Part::Write(1 << 40, 512)];
    assert_eq!(rig.request(VIRTIO_BLK_T_IN, 0, &parts), (IOERR, 0));
    let parts = [Part::Read(u64::MAX - 100, 512)];
    assert_eq!(rig.request(VIRTIO_BLK_T_OUT, 0, &parts), (IOERR, 1));
}

#[test]
fn unknown_type_is_unsupported() {
    assert_eq!(plain().request(0x1234_5678, 0, &[]), (UNSUPP, 1));
    assert_eq!(plain().request(VIRTIO_BLK_T_SECURE_ERASE, 0, &[]), (UNSUPP, 1));
}

#[test]
fn header_that_is_too_short_returns_ioerr() {
    let mut rig = plain();
    rig.header(VIRTIO_BLK_T_IN, 0);
    let parts = [Part::Read(HEADER, 15), Part::Write(PAYLOAD, 512), Part::Write(STATUS, 1)];
    assert_eq!(rig.chain(&parts), (IOERR, 0));
}

#[test]
fn chain_without_room_for_a_status_is_given_back_empty() {
    let mut rig = plain();
    rig.header(VIRTIO_BLK_T_OUT, 0);
    let result = rig.chain(&[Part::Read(HEADER, 16), Part::Read(PAYLOAD, 512)]);
    assert_eq!(result, (UNTOUCHED, 0));
    assert_eq!(rig.disk_byte(0), 1);
}

#[test]
fn status_outside_of_memory_is_given_back_empty() {
    let mut rig = plain();
    rig.header(VIRTIO_BLK_T_IN, 0);
    let parts = [Part::Read(HEADER, 16), Part::Write(PAYLOAD, 512), Part::Write(1 << 40, 1)];
    assert_eq!(rig.chain(&parts), (UNTOUCHED, 0));
}

#[test]
fn serial_number_is_padded_with_zeroes() {
    let config =
        BlockConfig { serial: BlockConfig::serial_from("disk-1"), ..BlockConfig::default() };
    let mut rig = Rig::new(&config, 1);
    rig.driver.write(PAYLOAD, &[0xff; 20]);
    let result = rig.request(VIRTIO_BLK_T_GET_ID, 0, &[Part::Write(PAYLOAD, 20)]);
    assert_eq!(result, (OK, 21));
    assert_eq!(rig.driver.read(PAYLOAD, 20), *b"disk-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn serial_number_needs_room_for_twenty_bytes() {
    let result = plain().request(VIRTIO_BLK_T_GET_ID, 0, &[Part::Write(PAYLOAD, 19)]);
    assert_eq!(result, (IOERR, 0));
    let result = plain().request(VIRTIO_BLK_T_GET_ID, 0, &[Part::Write(PAYLOAD, 64)]);
    assert_eq!(result, (OK, 20));
}

#[test]
fn read_only_disk_refuses_all_that_writes() {
    let file = disk_file(4);
    let options = OpenOptions { read_only: true, ..OpenOptions::default() };
    let disk = FileDisk::open(file.path(), options).unwrap();
    let config = BlockConfig { discard: true, ..BlockConfig::default() };
    let mut rig = Rig::over(&config, Arc::new(disk), file);
    assert_eq!(rig.write(0, 512), (IOERR, 1));
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &[(0, 1, 0)]), (UNSUPP, 1));
    assert_eq!(rig.read(0, 512), (OK, 513));
}

#[test]
fn flush_is_done_only_where_it_was_negotiated() {
    let mut rig = complete();
    assert_eq!(rig.request(VIRTIO_BLK_T_FLUSH, 0, &[]), (OK, 1));
    assert_eq!(rig.shared.metrics.flushes.get(), 1);
    assert_eq!(plain().request(VIRTIO_BLK_T_FLUSH, 0, &[]), (UNSUPP, 1));
}

#[test]
fn write_zeroes_zeroes_each_segment() {
    let mut rig = complete();
    let unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
    let result = rig.zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &[(1, 2, 0), (8, 1, unmap)]);
    assert_eq!(result, (OK, 1));
    let sectors: Vec<u8> = (0..10).map(|s| rig.disk_byte(s)).collect();
    assert_eq!(sectors, [1, 0, 0, 4, 5, 6, 7, 8, 0, 10]);
}

#[test]
fn discard_keeps_the_rest_of_the_disk() {
    let mut rig = complete();
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &[(8, 8, 0)]), (OK, 1));
    assert_eq!((rig.disk_byte(7), rig.disk_byte(16)), (8, 17));
    assert_eq!(rig.shared.metrics.discards.get(), 1);
}

#[test]
fn unknown_flags_are_unsupported() {
    assert_eq!(complete().zeroing(VIRTIO_BLK_T_DISCARD, &[(0, 1, 1)]), (UNSUPP, 1));
    assert_eq!(complete().zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &[(0, 1, 2)]), (UNSUPP, 1));
}

#[test]
fn bad_segment_refuses_the_whole_request() {
    let mut rig = complete();
    let past_end = [(0, 1, 0), (63, 2, 0)];
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &past_end), (IOERR, 1));
    assert_eq!(rig.disk_byte(0), 1);
    let too_long = [(0, MAX_SEGMENT_SECTORS + 1, 0)];
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &too_long), (IOERR, 1));
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &[(0, 1, 0); 17]), (IOERR, 1));
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &[]), (IOERR, 1));
    let cut = rig.request(VIRTIO_BLK_T_DISCARD, 0, &[Part::Read(PAYLOAD, 15)]);
    assert_eq!(cut, (IOERR, 1));
}

#[test]
fn file_truncated_under_the_guest_returns_ioerr() {
    let mut rig = plain();
    rig.file.as_file().set_len(512).unwrap();
    assert_eq!(rig.read(2, 512), (IOERR, 0));
    assert_eq!(rig.shared.metrics.failed.get(), 1);
    assert_eq!(rig.read(0, 512), (OK, 513));
}

#[test]
fn many_requests_are_answered_in_one_burst_with_one_interrupt() {
    let mut rig = plain();
    rig.header(VIRTIO_BLK_T_IN, 0);
    for _ in 0..8 {
        rig.driver.add(&[
            Part::Read(HEADER, 16),
            Part::Write(PAYLOAD, 512),
            Part::Write(STATUS, 1),
        ]);
    }
    rig.kick();
    assert_eq!(rig.driver.used().len(), 8);
    assert_eq!(rig.driver.interrupt.used.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn large_requests_of_a_burst_share_one_interrupt() {
    let mut rig = plain();
    rig.header(VIRTIO_BLK_T_IN, 0);
    let data = Part::Write(DATA + 0x10_0000, 64 * 512);
    for _ in 0..16 {
        rig.driver.add(&[Part::Read(HEADER, 16), data, Part::Write(STATUS, 1)]);
    }
    rig.kick();
    assert_eq!(
        rig.driver.used(),
        [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45]
            .map(|head| (head, 64 * 512 + 1))
    );
    assert_eq!(rig.driver.interrupt.used.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn kick_without_requests_raises_no_interrupt() {
    let mut rig = plain();
    rig.kick();
    assert_eq!(rig.driver.interrupt.used.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn requests_of_an_indirect_table_are_served() {
    let mut rig = plain();
    rig.header(VIRTIO_BLK_T_IN, 5);
    let table = DATA + 0x10_0000;
    let parts = [Part::Read(HEADER, 16), Part::Write(PAYLOAD, 512), Part::Write(STATUS, 1)];
    rig.driver.add_indirect(table, &parts);
    rig.kick();
    assert_eq!(rig.driver.used(), [(0, 513)]);
    assert_eq!(rig.driver.read(PAYLOAD, 1), [6]);
}

/// A disk on which everything fails.
#[derive(Debug)]
struct BrokenDisk;

impl BrokenDisk {
    fn error<T>() -> io::Result<T> {
        Err(io::Error::from_raw_os_error(libc::EIO))
    }
}

impl Disk for BrokenDisk {
    fn size(&self) -> u64 {
        1 << 20
    }
    fn refresh_size(&self) -> io::Result<u64> {
        Self::error()
    }
    fn is_read_only(&self) -> bool {
        false
    }
    fn read(&self, _: Buffers, _: u64) -> io::Result<()> {
        Self::error()
    }
    fn write(&self, _: Buffers, _: u64) -> io::Result<()> {
        Self::error()
    }
    fn flush(&self) -> io::Result<()> {
        Self::error()
    }
    fn discard(&self, _: Extent) -> io::Result<()> {
        Self::error()
    }
    fn write_zeroes(&self, _: Extent, _: bool) -> io::Result<()> {
        Self::error()
    }
}

#[test]
fn failure_of_the_host_returns_ioerr_and_is_counted() {
    let config = BlockConfig { cache: Cache::Writeback, discard: true, ..BlockConfig::default() };
    let mut rig = Rig::over(&config, Arc::new(BrokenDisk), disk_file(0));
    assert_eq!(rig.read(0, 512), (IOERR, 0));
    assert_eq!(rig.write(0, 512), (IOERR, 1));
    assert_eq!(rig.request(VIRTIO_BLK_T_FLUSH, 0, &[]), (IOERR, 1));
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_DISCARD, &[(0, 1, 0)]), (IOERR, 1));
    assert_eq!(rig.zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &[(0, 1, 0)]), (IOERR, 1));
    assert_eq!(rig.shared.metrics.failed.get(), 5);
    assert_eq!(rig.driver.metrics.errors.get(), 5);
}
