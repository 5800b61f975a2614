//! The front, on a real loop.

use super::guest::CID;
use crate::virtio::event_loop::EventLoop;
use crate::virtio::fake_driver::FakeDriver;
use crate::virtio::vsock::{Vsock, VsockConfig, VsockError};
use crate::virtio::{DeviceType, VirtioDevice};
use crate::vsock::HostSockets;

#[test]
fn device_shows_its_context_id_and_runs_its_queues() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    let (events, thread) = EventLoop::spawn("vsock", || {}).unwrap();
    let sockets = HostSockets::bind(&path).unwrap();
    let mut device = Vsock::new(VsockConfig::new(CID), sockets, &events).unwrap();
    assert_eq!((device.device_type(), device.queue_sizes().len()), (DeviceType::Vsock, 3));
    let mut cid = [0; 8];
    device.read_config(0, &mut cid);
    assert_eq!(u64::from_le_bytes(cid), CID);
    let driver = FakeDriver::new(8);
    for index in 0..3 {
        device.start_queue(driver.sibling(index, 8).queue()).unwrap();
    }
    device.announce_reset().unwrap();
    assert!(device.stop_queue(0).is_some());
    assert!(device.stop_queue(0).is_none());
    device.reset();
    device.close();
    events.end();
    thread.join().unwrap();
    assert!(!path.exists(), "the socket's file is removed");
}

#[test]
fn context_ids_with_a_meaning_of_their_own_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (events, thread) = EventLoop::spawn("vsock", || {}).unwrap();
    for cid in [0, 1, 2, u64::from(u32::MAX), 1 << 32] {
        let sockets = HostSockets::bind(&folder.path().join("v")).unwrap();
        let made = Vsock::new(VsockConfig::new(cid), sockets, &events);
        assert!(matches!(made, Err(VsockError::Cid(c)) if c == cid));
    }
    events.end();
    thread.join().unwrap();
}
