use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::rate_limiter::{BucketConfig, LimiterUpdate};
use crate::virtio::fake_driver::RAM_SIZE;
use crate::virtio::net::RxFilter;
use crate::virtio::queue::QueueState;

/// The bytes that `num_buffers` of a frame at `addr` holds.
fn num_buffers(rig: &Rig, addr: u64) -> u16 {
    let raw = rig.rx.read(addr + 10, 2);
    u16::from_le_bytes([raw[0], raw[1]])
}

#[test]
fn frame_lands_behind_its_header_in_one_buffer() {
    let mut rig = Rig::started(MERGEABLE);
    rig.rx.write(DATA, &[0xee; 12]);
    let head = rig.offer(DATA, 2048);
    rig.kick_rx();
    rig.arrive(&frame(100, 1));
    rig.settle();
    assert_eq!(rig.rx.used(), [(head, 112)]);
    assert_eq!(rig.rx.read(DATA, 10), [0; 10]);
    assert_eq!(num_buffers(&rig, DATA), 1);
    assert_eq!(rig.rx.read(DATA + 12, 100), frame(100, 1));
    assert_eq!(rig.metrics.rx_frames.get(), 1);
    assert_eq!(rig.rx.metrics.bytes_to_guest.get(), 112);
}

#[test]
fn frame_is_spread_over_mergeable_buffers_that_are_used_together() {
    let mut rig = Rig::started(MERGEABLE);
    let heads: Vec<u16> = (0..4).map(|i| rig.offer(DATA + 0x1000 * i, 600)).collect();
    rig.kick_rx();
    let sent = frame(1400, 2);
    rig.arrive(&sent);
    rig.settle();
    assert_eq!(rig.rx.used(), [(heads[0], 600), (heads[1], 600), (heads[2], 212)]);
    assert_eq!(num_buffers(&rig, DATA), 3);
    assert_eq!(rig.rx.read(DATA + 12, 588), sent[..588]);
    assert_eq!(rig.rx.read(DATA + 0x1000, 600), sent[588..1188]);
    assert_eq!(rig.rx.read(DATA + 0x2000, 212), sent[1188..]);
}

#[test]
fn next_frame_begins_in_the_first_untouched_buffer() {
    let mut rig = Rig::started(MERGEABLE);
    let heads: Vec<u16> = (0..4).map(|i| rig.offer(DATA + 0x1000 * i, 1600)).collect();
    rig.kick_rx();
    for seed in 0..2 {
        rig.arrive(&frame(1500, seed));
    }
    rig.settle();
    assert_eq!(rig.rx.used(), [(heads[0], 1512), (heads[1], 1512)]);
    assert_eq!(rig.rx.read(DATA + 0x1000 + 12, 1500), frame(1500, 1));
}

#[test]
fn mergeable_buffers_of_indirect_descriptors_are_filled_in_order() {
    let mut rig = Rig::started(LARGE);
    let mut heads = Vec::new();
    for i in 0..40 {
        let base = DATA + 0x10_0000 + 0x4000 * i;
        let parts = [Part::Write(base, 12), Part::Write(base + 0x1000, 2000)];
        heads.push(rig.rx.add_indirect(DATA + 0x100 * i, &parts));
    }
    rig.kick_rx();
    let sent = frame(65_000, 3);
    rig.arrive(&sent);
    rig.settle();
    let used = rig.rx.used();
    let expected: Vec<_> =
        (0..33).map(|i| (heads[i], if i < 32 { 2012 } else { 65_012 - 32 * 2012 })).collect();
    assert_eq!(used, expected);
    assert_eq!(num_buffers(&rig, DATA + 0x10_0000), 33);
    let mut got = Vec::new();
    for i in 0..33u64 {
        let base = DATA + 0x10_0000 + 0x4000 * i;
        got.extend(rig.rx.read(base, 12));
        got.extend(rig.rx.read(base + 0x1000, 2000));
    }
    assert!(got[12..65_012] == sent[..]);
}

#[test]
fn large_frames_wait_for_room_for_the_largest() {
    let mut rig = Rig::started(LARGE);
    for i in 0..15 {
        rig.offer(DATA + 0x1000 * i, 4096);
    }
    rig.kick_rx();
    rig.arrive(&frame(60_000, 4));
    rig.settle();
    assert_eq!(rig.rx.used(), []);
    for i in 15..17 {
        rig.offer(DATA + 0x1000 * i, 4096);
    }
    rig.kick_rx();
    assert_eq!(rig.rx.used().len(), 15);
}

#[test]
fn ring_that_cannot_hold_the_largest_frame_still_receives_small_ones() {
    let mut rig = Rig::new(LARGE);
    rig.rx = FakeDriver::new(4);
    rig.tx = rig.rx.sibling(TX, 4);
    rig.start();
    for i in 0..4 {
        rig.offer(DATA + 0x1000 * i, 1600);
    }
    rig.kick_rx();
    rig.arrive(&frame(7000, 0));
    rig.arrive(&frame(1500, 1));
    rig.settle();
    assert_eq!(rig.rx.used(), [(0, 1512)]);
    assert_eq!(rig.metrics.rx_dropped.get(), 1);
}

#[test]
fn plain_buffer_takes_one_frame_and_says_so() {
    let mut rig = Rig::started(PLAIN);
    let header_and_body = [Part::Write(DATA, 12), Part::Write(DATA + 0x1000, 1514)];
    let head = rig.rx.add(&header_and_body);
    rig.rx.write(DATA, &[0xee; 12]);
    rig.kick_rx();
    rig.arrive(&frame(1514, 5));
    rig.settle();
    assert_eq!(rig.rx.used(), [(head, 1526)]);
    assert_eq!(num_buffers(&rig, DATA), 1);
    assert_eq!(rig.rx.read(DATA + 0x1000, 1514), frame(1514, 5));
}

#[test]
fn frame_longer_than_a_plain_buffer_is_dropped_and_the_next_one_received() {
    let mut rig = Rig::started(PLAIN);
    let head = rig.offer(DATA, 1526);
    rig.kick_rx();
    rig.arrive(&frame(1515, 0));
    rig.arrive(&frame(60, 1));
    rig.settle();
    assert_eq!(rig.rx.used(), [(head, 72)]);
    assert_eq!(rig.rx.read(DATA + 12, 60), frame(60, 1));
    assert_eq!(rig.metrics.rx_dropped.get(), 1);
}

#[test]
fn frame_shorter_than_its_headers_is_dropped_and_counted() {
    let mut rig = Rig::started(MERGEABLE);
    let head = rig.offer(DATA, 2048);
    rig.kick_rx();
    send(&rig.network, &[1; 11], SendFlags::empty()).unwrap();
    send(&rig.network, &[1; 25], SendFlags::empty()).unwrap();
    rig.arrive(&frame(14, 1));
    rig.settle();
    assert_eq!(rig.rx.used(), [(head, 26)]);
    assert_eq!(rig.metrics.rx_dropped.get(), 2);
}

#[test]
fn frame_without_a_buffer_waits_and_costs_no_events() {
    let mut rig = Rig::started(MERGEABLE);
    rig.settle();
    rig.arrive(&frame(60, 1));
    assert_eq!(rig.settle(), 1);
    assert_eq!(rig.settle(), 0);
    let head = rig.offer(DATA, 2048);
    rig.kick_rx();
    assert_eq!(rig.rx.used(), [(head, 72)]);
}

#[test]
fn burst_of_frames_interrupts_once() {
    let mut rig = Rig::started(MERGEABLE);
    for i in 0..32 {
        rig.offer(DATA + 0x1000 * i, 2048);
    }
    rig.kick_rx();
    for seed in 0..8 {
        rig.arrive(&frame(60, seed));
    }
    rig.settle();
    assert_eq!(rig.rx.used().len(), 8);
    assert_eq!(rig.rx.interrupt.used.load(Relaxed), 1);
}

#[test]
fn buffers_that_are_read_only_outside_memory_or_tiny_are_rejected() {
    let mut rig = Rig::started(MERGEABLE);
    let read_only = rig.rx.add(&[Part::Read(DATA, 2048)]);
    let mixed = rig.rx.add(&[Part::Read(DATA, 12), Part::Write(DATA, 2048)]);
    let outside = rig.offer(RAM_SIZE as u64 - 8, 2048);
    let tiny = rig.offer(DATA, 11);
    let good = rig.offer(DATA, 2048);
    rig.arrive(&frame(60, 1));
    rig.kick_rx();
    let bad = [(read_only, 0), (mixed, 0), (outside, 0), (tiny, 0)];
    assert_eq!(rig.rx.used(), [&bad[..], &[(good, 72)]].concat());
    assert_eq!(rig.rx.metrics.malformed.get(), 4);
}

#[test]
fn buffer_of_too_many_descriptors_is_rejected_and_many_small_ones_are_not_overrun() {
    let mut rig = Rig::started(LARGE);
    let parts: Vec<Part> = (0..1100).map(|i| Part::Write(DATA + 0x10_0000 + 16 * i, 16)).collect();
    let wide = rig.rx.add_indirect(DATA, &parts);
    for i in 0..4 {
        rig.rx.add_indirect(DATA + 0x8000 + 0x2000 * i, &parts[..300]);
    }
    rig.arrive(&frame(60, 1));
    rig.kick_rx();
    assert_eq!(rig.rx.used(), [(wide, 0), (1, 72)]);
}

#[test]
fn rate_limit_delays_frames_and_lets_them_go_when_lifted() {
    let one = BucketConfig { size: 1, refill_time_ms: 3_600_000, one_time_burst: 0 };
    let parts =
        Parts { rx_limiter: LimiterConfig { ops: Some(one), bandwidth: None }, ..Parts::default() };
    let mut rig = Rig::with(MERGEABLE, parts);
    rig.start();
    for i in 0..4 {
        rig.offer(DATA + 0x1000 * i, 2048);
    }
    rig.kick_rx();
    for seed in 0..3 {
        rig.arrive(&frame(60, seed));
    }
    rig.settle();
    assert_eq!(rig.rx.used().len(), 1);
    assert_eq!(rig.rx.metrics.throttled.get(), 1);
    rig.rx_limiter.update(LimiterUpdate { ops: Some(BucketConfig::default()), bandwidth: None });
    rig.handler.look_again(&mut rig.event_loop.context());
    assert_eq!(rig.rx.used().len(), 2);
    assert_eq!(rig.rx.read(DATA + 0x2000 + 12, 60), frame(60, 2));
}

#[test]
fn rate_limit_lets_the_next_frame_go_when_its_time_has_come() {
    let fast = BucketConfig { size: 1, refill_time_ms: 20, one_time_burst: 0 };
    let parts = Parts {
        rx_limiter: LimiterConfig { ops: Some(fast), bandwidth: None },
        ..Parts::default()
    };
    let mut rig = Rig::with(MERGEABLE, parts);
    rig.start();
    for i in 0..4 {
        rig.offer(DATA + 0x1000 * i, 2048);
    }
    rig.kick_rx();
    rig.arrive(&frame(60, 0));
    rig.arrive(&frame(60, 1));
    rig.settle();
    rig.wait();
    assert_eq!(rig.rx.used().len(), 2);
}

#[test]
fn stopped_queue_gives_untouched_buffers_back_and_loses_no_frame() {
    let one = BucketConfig { size: 1, refill_time_ms: 3_600_000, one_time_burst: 0 };
    let parts =
        Parts { rx_limiter: LimiterConfig { ops: Some(one), bandwidth: None }, ..Parts::default() };
    let mut rig = Rig::with(MERGEABLE, parts);
    rig.start();
    for i in 0..8 {
        rig.offer(DATA + 0x1000 * i, 2048);
    }
    rig.kick_rx();
    rig.arrive(&frame(60, 0));
    rig.arrive(&frame(60, 1));
    rig.settle();
    let state = rig.event_loop.stop_queue(&mut rig.handler, RX).unwrap();
    assert_eq!(state, QueueState { next_available: 2, next_used: 2 });
    assert_eq!(rig.rx.used().len(), 2);
    assert_eq!(rig.event_loop.stop_queue(&mut rig.handler, RX), None);
    rig.rx_limiter.update(LimiterUpdate { ops: Some(BucketConfig::default()), bandwidth: None });
    rig.arrive(&frame(60, 2));
    let queue = rig.rx.queue_at(state);
    rig.event_loop.start_queue(&mut rig.handler, queue).unwrap();
    assert_eq!(rig.rx.used(), [(2, 72)]);
    assert_eq!(rig.rx.read(DATA + 0x2000 + 12, 60), frame(60, 2));
}

#[test]
fn network_that_has_gone_costs_no_events_afterwards() {
    let mut rig = Rig::started(MERGEABLE);
    rig.offer(DATA, 2048);
    rig.kick_rx();
    let (_, other) = SocketBackend::pair();
    drop(std::mem::replace(&mut rig.network, other));
    assert!(rig.settle() > 0);
    assert_eq!(rig.settle(), 0);
    let head = rig.transmit(DATA + 0x10_0000, NetHeader::default(), &frame(60, 1));
    rig.kick_tx();
    assert_eq!(rig.tx.used(), [(head, 0)]);
    assert_eq!(rig.metrics.tx_dropped.get(), 1);
}

#[test]
fn unwanted_frame_is_filtered_and_leaves_its_buffer_for_the_next() {
    let mut rig = Rig::started(MERGEABLE);
    let filter = RxFilter { promiscuous: false, ..RxFilter::open(Some([2, 0, 0, 0, 0, 1])) };
    rig.handler.set_filter(Arc::new(filter));
    let head = rig.offer(DATA, 2048);
    rig.kick_rx();
    let mut other = frame(60, 0);
    other[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    rig.arrive(&other);
    rig.arrive(&frame(60, 1));
    rig.settle();
    assert_eq!(rig.rx.used(), [(head, 72)]);
    assert_eq!(rig.rx.read(DATA + 12, 60), frame(60, 1));
    assert_eq!(rig.metrics.rx_filtered.get(), 1);
}

#[test]
fn frames_that_came_while_the_link_was_down_are_lost() {
    let mut rig = Rig::started(MERGEABLE);
    let head = rig.offer(DATA, 2048);
    rig.kick_rx();
    rig.handler.set_link(false, &mut rig.event_loop.context());
    rig.arrive(&frame(60, 0));
    rig.settle();
    assert_eq!(rig.rx.used(), []);
    rig.handler.set_link(true, &mut rig.event_loop.context());
    rig.arrive(&frame(60, 1));
    rig.settle();
    assert_eq!(rig.rx.used(), [(head, 72)]);
    assert_eq!(rig.rx.read(DATA + 12, 60), frame(60, 1));
}
