use std::time::Instant;

use super::handler::{BURST_REQUESTS, MAX_REQUEST};
use super::*;
use crate::rate_limiter::{BucketConfig, LimiterConfig, LimiterUpdate, RateLimiter};
use crate::virtio::event_loop::{EventLoop, FakeLoop, Handler};
use crate::virtio::fake_driver::{DATA, FakeDriver, Part, RAM_SIZE};
use crate::virtio::{DeviceType, VirtioDevice};

struct Bench {
    handler: EntropyHandler,
    cx: FakeLoop,
    driver: FakeDriver,
}

impl Bench {
    fn new(limits: LimiterConfig, queue_size: u16) -> Self {
        let handler = EntropyHandler::new(RateLimiter::new(limits, Instant::now())).unwrap();
        Self { handler, cx: FakeLoop::new().unwrap(), driver: FakeDriver::new(queue_size) }
    }

    fn start(&mut self) {
        self.cx.start_queue(&mut self.handler, self.driver.queue()).unwrap();
    }

    fn kick(&mut self) {
        self.driver.kick.write(1).unwrap();
        self.cx.turn(&mut self.handler, 0).unwrap();
    }
}

fn ops(size: u64, refill_time_ms: u64) -> LimiterConfig {
    let bucket = BucketConfig { size, refill_time_ms, one_time_burst: 0 };
    LimiterConfig { bandwidth: None, ops: Some(bucket) }
}

#[test]
fn every_buffer_of_a_chain_is_filled_with_random_bytes() {
    let mut bench = Bench::new(LimiterConfig::default(), 16);
    let head = bench.driver.add(&[Part::Write(DATA, 64), Part::Write(DATA + 0x100, 64)]);
    bench.start();
    assert_eq!(bench.driver.used(), [(head, 128)]);
    let (first, second) = (bench.driver.read(DATA, 64), bench.driver.read(DATA + 0x100, 64));
    assert!(first.iter().any(|b| *b != 0) && second.iter().any(|b| *b != 0));
    assert_ne!(first, second);
    assert_eq!(bench.driver.read(DATA + 64, 64), [0; 64]);
    assert_eq!(bench.driver.metrics.bytes_to_guest.get(), 128);
}

#[test]
fn huge_buffer_is_filled_to_the_limit_of_a_request() {
    let mut bench = Bench::new(LimiterConfig::default(), 16);
    let head = bench.driver.add(&[Part::Write(DATA, 1 << 20)]);
    bench.start();
    assert_eq!(bench.driver.used(), [(head, MAX_REQUEST as u32)]);
    assert_eq!(bench.driver.read(DATA + MAX_REQUEST as u64, 16), [0; 16]);
}

#[test]
fn readable_buffer_is_refused_and_counted() {
    let mut bench = Bench::new(LimiterConfig::default(), 16);
    let head = bench.driver.add(&[Part::Read(DATA, 64), Part::Write(DATA + 0x100, 64)]);
    let readable_only = bench.driver.add(&[Part::Read(DATA, 64)]);
    bench.start();
    assert_eq!(bench.driver.used(), [(head, 0), (readable_only, 0)]);
    assert_eq!(bench.driver.read(DATA + 0x100, 64), [0; 64]);
    assert_eq!(bench.driver.metrics.malformed.get(), 2);
}

#[test]
fn buffer_beyond_memory_gets_nothing_and_the_next_is_served() {
    let mut bench = Bench::new(LimiterConfig::default(), 16);
    let bad = bench.driver.add(&[Part::Write(RAM_SIZE as u64 - 8, 16)]);
    let wrapping = bench.driver.add(&[Part::Write(u64::MAX - 7, 16)]);
    let good = bench.driver.add(&[Part::Write(DATA, 16)]);
    bench.start();
    assert_eq!(bench.driver.used(), [(bad, 0), (wrapping, 0), (good, 16)]);
    assert_eq!(bench.driver.metrics.errors.get(), 2);
}

#[test]
fn long_burst_is_served_in_turns_with_one_interrupt_each() {
    let mut bench = Bench::new(LimiterConfig::default(), 512);
    for _ in 0..BURST_REQUESTS + 1 {
        bench.driver.add(&[Part::Write(DATA, 8)]);
    }
    bench.start();
    assert_eq!(bench.driver.used().len(), BURST_REQUESTS);
    bench.cx.turn(&mut bench.handler, 0).unwrap();
    assert_eq!(bench.driver.used().len(), 1);
    assert_eq!(bench.driver.metrics.interrupts.get(), 2);
}

#[test]
fn limit_holds_requests_until_its_timer() {
    let mut bench = Bench::new(ops(1, 20), 16);
    let first = bench.driver.add(&[Part::Write(DATA, 8)]);
    let second = bench.driver.add(&[Part::Write(DATA, 8)]);
    bench.start();
    assert_eq!(bench.driver.used(), [(first, 8)]);
    assert_eq!(bench.driver.metrics.throttled.get(), 1);
    bench.cx.turn(&mut bench.handler, -1).unwrap();
    assert_eq!(bench.driver.used(), [(second, 8)]);
}

#[test]
fn kick_does_not_get_around_the_limit() {
    let mut bench = Bench::new(ops(1, 3_600_000), 16);
    bench.start();
    bench.driver.add(&[Part::Write(DATA, 8)]);
    bench.kick();
    bench.driver.add(&[Part::Write(DATA, 8)]);
    bench.kick();
    bench.kick();
    assert_eq!(bench.driver.used().len(), 1);
}

#[test]
fn lifted_limit_serves_what_waits() {
    let mut bench = Bench::new(ops(1, 3_600_000), 16);
    bench.driver.add(&[Part::Write(DATA, 8)]);
    bench.driver.add(&[Part::Write(DATA, 8)]);
    bench.start();
    let update = LimiterUpdate { bandwidth: None, ops: Some(BucketConfig::default()) };
    bench.handler.update_limits(update, &mut bench.cx.context());
    assert_eq!(bench.driver.used().len(), 2);
}

#[test]
fn request_held_by_the_limit_survives_stop_and_start() {
    let mut bench = Bench::new(ops(1, 20), 16);
    bench.driver.add(&[Part::Write(DATA, 8)]);
    bench.driver.add(&[Part::Write(DATA, 8)]);
    bench.start();
    let state = bench.cx.stop_queue(&mut bench.handler, 0).unwrap();
    assert_eq!((state.next_available, state.next_used), (1, 1));
    assert!(bench.handler.stop_queue(0, &mut bench.cx.context()).is_none());

    bench.cx.start_queue(&mut bench.handler, bench.driver.queue_at(state)).unwrap();
    assert_eq!(bench.driver.used().len(), 1);
    while bench.driver.metrics.bytes_to_guest.get() < 16 {
        bench.cx.turn(&mut bench.handler, -1).unwrap();
    }
    assert_eq!(bench.driver.used().len(), 1);
}

#[test]
fn front_serves_its_queue_on_the_loop() {
    let (handle, thread) = EventLoop::spawn("entropy", || {}).unwrap();
    let mut device = Entropy::new(EntropyConfig::default(), &handle).unwrap();
    assert_eq!((device.device_type(), device.features()), (DeviceType::Entropy, 0));
    let mut driver = FakeDriver::new(device.queue_sizes()[0]);
    let head = driver.add(&[Part::Write(DATA, 32)]);
    device.start_queue(driver.queue()).unwrap();
    assert_eq!(driver.used(), [(head, 32)]);
    assert_eq!(device.stop_queue(0).unwrap().next_used, 1);
    assert!(device.stop_queue(0).is_none());
    handle.end();
    thread.join().unwrap();
    assert!(Entropy::new(EntropyConfig::default(), &handle).is_err());
}
