//! The device on a real loop.

use crate::fs::{Share, ShareOptions};
use crate::virtio::event_loop::EventLoop;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part};
use crate::virtio::fs::{Fs, FsConfig};
use crate::virtio::{DeviceType, VirtioDevice};

#[test]
fn device_has_its_tag_and_queues_and_serves_on_its_loop() {
    let folder = tempfile::tempdir().unwrap();
    let share = Share::open(folder.path(), ShareOptions::default()).unwrap();
    let (handle, thread) = EventLoop::spawn("fs", || {}).unwrap();
    let config = FsConfig { tag: FsConfig::tag_from("src"), queues: 2, queue_size: 128 };
    let mut device = Fs::new(&config, share, 100, &handle).unwrap();
    assert_eq!((device.device_type(), device.features()), (DeviceType::Fs, 0));
    assert_eq!(device.queue_sizes(), [128; 3]);
    let mut space = [0; 40];
    device.read_config(0, &mut space);
    assert_eq!((&space[..4], &space[36..]), (&b"src\0"[..], &[2, 0, 0, 0][..]));

    let mut driver = FakeDriver::new(128).sibling(2, 128);
    let init = [56, 26, 1, 0, 1, 0, 0, 0, 0, 0, 7, 31, 0, 0_u32];
    let bytes: Vec<u8> = init.iter().flat_map(|word| word.to_le_bytes()).collect();
    driver.write(DATA, &bytes);
    let head = driver.add(&[Part::Read(DATA, 56), Part::Write(DATA + 4096, 80)]);
    device.start_queue(driver.queue()).unwrap();
    assert_eq!(driver.used(), [(head, 80)]);
    assert_eq!(driver.read(DATA + 4096 + 16, 4), [7, 0, 0, 0]);
    assert_eq!(device.stop_queue(2).unwrap().next_used, 1);
    assert!(device.stop_queue(2).is_none());
    handle.end();
    thread.join().unwrap();
}

#[test]
fn what_cannot_be_shared_is_named() {
    let missing = Share::open("/nowhere/at/all".as_ref(), ShareOptions::default());
    let text = missing.err().unwrap().to_string();
    assert_eq!(text, "failed to open shared folder /nowhere/at/all");
}
