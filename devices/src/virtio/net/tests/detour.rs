use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

/// Takes frames of type 0x1234, and gives each back reversed; or one by itself, when asked to be
/// woken.
#[derive(Default)]
struct Mirror {
    frames: Mutex<Vec<Vec<u8>>>,
    alarm: AtomicBool,
}

impl Detour for Mirror {
    fn wants(&self, start: &[u8]) -> bool {
        start.get(12..14) == Some(&[0x12, 0x34])
    }
    fn take(&self, frame: &[u8]) {
        self.frames.lock().unwrap().push(frame.iter().rev().copied().collect());
    }
    fn next_frame(&self) -> Option<Vec<u8>> {
        self.frames.lock().unwrap().pop()
    }
    fn wake_after(&self) -> Option<Duration> {
        if !self.frames.lock().unwrap().is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.alarm.swap(false, Ordering::Relaxed);
        due.then(|| {
            self.take(&[7; 60]);
            Duration::from_millis(10)
        })
    }
}

fn rig() -> (Rig, Arc<Mirror>) {
    let mirror = Arc::<Mirror>::default();
    let parts = Parts { detour: Some(mirror.clone()), ..Parts::default() };
    (Rig::with(MERGEABLE, parts), mirror)
}

fn diverted() -> Vec<u8> {
    let mut frame = frame(70, 1);
    frame[12..14].copy_from_slice(&[0x12, 0x34]);
    frame
}

#[test]
fn frame_for_the_detour_is_answered_and_never_reaches_the_network() {
    let (mut rig, _) = rig();
    rig.start();
    let buffer = rig.offer(DATA, 2048);
    rig.kick_rx();
    let sent = rig.transmit(DATA + 0x1000, NetHeader::default(), &diverted());
    rig.kick_tx();
    assert_eq!(rig.tx.used(), [(sent, 0)]);
    assert_eq!(rig.sent(), None);
    assert_eq!(rig.rx.used(), [(buffer, 82)]);
    let reversed: Vec<u8> = diverted().into_iter().rev().collect();
    assert_eq!(rig.rx.read(DATA, 12), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(rig.rx.read(DATA + 12, 70), reversed);
}

#[test]
fn answer_waits_for_a_buffer() {
    let (mut rig, _) = rig();
    rig.start();
    rig.transmit(DATA + 0x1000, NetHeader::default(), &diverted());
    rig.kick_tx();
    assert_eq!(rig.event_loop.turn(&mut rig.handler, 20).unwrap(), 0);
    let buffer = rig.offer(DATA, 2048);
    rig.kick_rx();
    assert_eq!(rig.rx.used(), [(buffer, 82)]);
}

#[test]
fn other_frames_pass_the_detour_by() {
    let (mut rig, _) = rig();
    rig.start();
    rig.transmit(DATA, NetHeader::default(), &frame(60, 1));
    rig.kick_tx();
    assert_eq!(rig.sent(), Some(frame(60, 1)));
    assert_eq!(rig.metrics.detour_taken.get(), 0);
}

#[test]
fn detour_is_woken_when_it_asked_to_be() {
    let (mut rig, mirror) = rig();
    let buffer = rig.offer(DATA, 2048);
    mirror.alarm.store(true, Ordering::Relaxed);
    rig.start();
    assert_eq!(rig.rx.used(), []);
    rig.event_loop.turn(&mut rig.handler, 0).unwrap();
    while rig.rx.used() != [(buffer, 72)] {
        rig.wait();
    }
    assert_eq!(rig.metrics.detour_given.get(), 1);
}
