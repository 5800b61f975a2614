//! Rate limits.

use super::*;
use crate::rate_limiter::{BucketConfig, LimiterConfig, LimiterUpdate};

/// One request at once, and then none for half an hour.
const ONE: BucketConfig = BucketConfig { size: 1, refill_time_ms: 1_800_000, one_time_burst: 0 };

fn limited(ops: BucketConfig) -> Rig {
    let limits = LimiterConfig { ops: Some(ops), bandwidth: None };
    Rig::new(&BlockConfig { limits, ..BlockConfig::default() }, 8)
}

fn add_reads(rig: &mut Rig, count: usize) {
    rig.header(VIRTIO_BLK_T_IN, 0);
    for _ in 0..count {
        rig.driver.add(&[
            Part::Read(HEADER, 16),
            Part::Write(PAYLOAD, 512),
            Part::Write(STATUS, 1),
        ]);
    }
}

#[test]
fn request_beyond_the_limit_waits_and_is_then_served() {
    let mut rig = limited(BucketConfig { size: 1, refill_time_ms: 20, one_time_burst: 0 });
    add_reads(&mut rig, 2);
    rig.kick();
    assert_eq!(rig.driver.used().len(), 1);
    assert_eq!(rig.wait_for_used().len(), 1);
    assert_eq!(rig.shared.metrics.throttled.get(), 1);
}

#[test]
fn kick_does_not_get_around_the_limit() {
    let mut rig = limited(ONE);
    add_reads(&mut rig, 3);
    for _ in 0..3 {
        rig.kick();
    }
    assert_eq!(rig.driver.used().len(), 1);
    assert_eq!(rig.driver.metrics.requests.get(), 1, "the waiting one is not served");
}

#[test]
fn header_that_changes_while_its_request_waits_is_read_once() {
    let mut rig = limited(ONE);
    add_reads(&mut rig, 2);
    rig.kick();
    assert_eq!(rig.driver.used().len(), 1);
    // The waiting read of sector 0 becomes a write beyond the end, for whoever looks again.
    rig.header(VIRTIO_BLK_T_OUT, u64::MAX / 512);
    rig.driver.write(PAYLOAD, &[0xaa; 512]);
    let none = LimiterUpdate { ops: Some(BucketConfig::default()), bandwidth: None };
    rig.shared.limiter.update(none);
    rig.turn(0);
    rig.kick();
    assert_eq!(rig.driver.used(), [(3, 513)]);
    assert_eq!((rig.driver.read(STATUS, 1)[0], rig.driver.read(PAYLOAD, 1)[0]), (OK, 1));
}

#[test]
fn bytes_are_limited_too() {
    let bandwidth = BucketConfig { size: 1024, refill_time_ms: 1_800_000, one_time_burst: 0 };
    let limits = LimiterConfig { bandwidth: Some(bandwidth), ops: None };
    let mut rig = Rig::new(&BlockConfig { limits, ..BlockConfig::default() }, 8);
    add_reads(&mut rig, 5);
    rig.kick();
    assert_eq!(rig.driver.used().len(), 2);
}

#[test]
fn lifted_limit_lets_waiting_requests_go() {
    let mut rig = limited(ONE);
    add_reads(&mut rig, 4);
    rig.kick();
    assert_eq!(rig.driver.used().len(), 1);
    let none = LimiterUpdate { ops: Some(BucketConfig::default()), bandwidth: None };
    rig.shared.limiter.update(none);
    rig.handler.reconsider(&mut rig.event_loop.context());
    assert_eq!(rig.driver.used().len(), 3);
}

#[test]
fn stopped_queue_keeps_the_request_that_waits() {
    let mut rig = limited(ONE);
    add_reads(&mut rig, 3);
    rig.kick();
    assert_eq!(rig.driver.used().len(), 1);
    let state = rig.event_loop.stop_queue(&mut rig.handler, 0).unwrap();
    assert_eq!((state.next_available, state.next_used), (1, 1));
    let none = LimiterUpdate { ops: Some(BucketConfig::default()), bandwidth: None };
    rig.shared.limiter.update(none);
    rig.event_loop.start_queue(&mut rig.handler, rig.driver.queue_at(state)).unwrap();
    assert_eq!(rig.driver.used().len(), 2);
}
