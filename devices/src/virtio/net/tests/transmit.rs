use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::rate_limiter::BucketConfig;
use crate::virtio::fake_driver::RAM_SIZE;

#[test]
fn frame_of_several_buffers_reaches_the_network_as_one() {
    let mut rig = Rig::started(MERGEABLE);
    let sent = frame(3000, 1);
    rig.tx.write(DATA + 0x1000, &sent[..1000]);
    rig.tx.write(DATA + 0x3000, &sent[1000..]);
    let parts =
        [Part::Read(DATA, 12), Part::Read(DATA + 0x1000, 1000), Part::Read(DATA + 0x3000, 2000)];
    let head = rig.tx.add_indirect(DATA + 0x8000, &parts);
    rig.kick_tx();
    assert_eq!(rig.sent(), Some(sent));
    assert_eq!(rig.tx.used(), [(head, 0)]);
    assert_eq!(rig.tx.metrics.bytes_from_guest.get(), 3012);
    assert_eq!(rig.metrics.tx_frames.get(), 1);
}

#[test]
fn header_goes_to_the_backend_as_the_driver_wrote_it() {
    let mut rig = Rig::started(MERGEABLE);
    let header = NetHeader {
        flags: 1,
        gso_type: 1,
        hdr_len: 54u16.to_le_bytes(),
        gso_size: 1000u16.to_le_bytes(),
        csum_start: 34u16.to_le_bytes(),
        csum_offset: 16u16.to_le_bytes(),
        ..NetHeader::default()
    };
    rig.transmit(DATA, header, &frame(4000, 1));
    rig.kick_tx();
    let mut raw = vec![0; 5000];
    let (n, _) = recv(&rig.network, &mut raw[..], RecvFlags::empty()).unwrap();
    assert_eq!((n, &raw[..12]), (4012, zerocopy::IntoBytes::as_bytes(&header)));
}

/// Sends nonsense and then a good frame, and checks that only that one got out.
fn assert_dropped(add: impl FnOnce(&mut Rig) -> u16) {
    let mut rig = Rig::started(MERGEABLE);
    let bad = add(&mut rig);
    let good = rig.transmit(DATA + 0x20_0000, NetHeader::default(), &frame(60, 9));
    rig.kick_tx();
    assert_eq!(rig.tx.used(), [(bad, 0), (good, 0)]);
    assert_eq!((rig.sent(), rig.sent()), (Some(frame(60, 9)), None));
    assert_eq!((rig.metrics.tx_malformed.get(), rig.tx.metrics.malformed.get()), (1, 1));
}

#[test]
fn frame_shorter_than_its_header_is_dropped_and_counted() {
    assert_dropped(|rig| rig.tx.add(&[Part::Read(DATA, 11)]));
}

#[test]
fn header_without_a_frame_is_dropped_and_counted() {
    assert_dropped(|rig| rig.transmit(DATA, NetHeader::default(), &frame(13, 0)));
}

#[test]
fn segment_size_of_zero_is_dropped_and_counted() {
    let header = NetHeader { gso_type: 1, ..NetHeader::default() };
    assert_dropped(|rig| rig.transmit(DATA, header, &frame(2000, 0)));
}

#[test]
fn checksum_past_the_end_is_dropped_and_counted() {
    let header = NetHeader { flags: 1, csum_start: [59, 0], ..NetHeader::default() };
    assert_dropped(|rig| rig.transmit(DATA, header, &frame(60, 0)));
}

#[test]
fn more_descriptors_than_an_io_vector_takes_are_dropped_and_counted() {
    let parts: Vec<Part> = (0..1025).map(|i| Part::Read(DATA + 0x10_0000 + 16 * i, 16)).collect();
    assert_dropped(|rig| rig.tx.add_indirect(DATA, &parts));
}

#[test]
fn thousand_descriptors_are_one_frame() {
    let mut rig = Rig::started(MERGEABLE);
    let parts: Vec<Part> = (0..1000).map(|i| Part::Read(DATA + 0x10_0000 + 16 * i, 16)).collect();
    rig.tx.add_indirect(DATA, &parts);
    rig.kick_tx();
    assert_eq!(rig.sent().map(|f| f.len()), Some(16_000 - 12));
}

#[test]
fn frame_larger_than_any_is_dropped_and_counted() {
    assert_dropped(|rig| rig.tx.add(&[Part::Read(DATA, 1 << 20)]));
}

#[test]
fn frame_outside_memory_is_dropped_and_counted() {
    assert_dropped(|rig| rig.tx.add(&[Part::Read(DATA, 12), Part::Read(RAM_SIZE as u64 - 10, 60)]));
}

#[test]
fn writable_buffer_in_a_frame_is_dropped_and_counted() {
    assert_dropped(|rig| rig.tx.add(&[Part::Read(DATA, 72), Part::Write(DATA + 0x1000, 16)]));
}

#[test]
fn full_backend_is_waited_for_and_nothing_is_lost_or_reordered() {
    let mut rig = Rig::started(MERGEABLE);
    for i in 0..200 {
        rig.transmit(DATA + 0x1_0000 * i, NetHeader::default(), &frame(20_000, i as u8));
    }
    rig.kick_tx();
    let first = rig.tx.used().len();
    assert!(first < 200, "the socket took everything");
    let mut arrived = Vec::new();
    while arrived.len() < 200 {
        while let Some(frame) = rig.sent() {
            arrived.push(frame[6]);
        }
        rig.settle();
    }
    let expected: Vec<u8> = (0..200).map(|i| frame(20_000, i)[6]).collect();
    assert_eq!(arrived, expected);
    assert_eq!(first + rig.tx.used().len(), 200);
}

#[test]
fn burst_of_frames_interrupts_once() {
    let mut rig = Rig::started(MERGEABLE);
    for i in 0..8 {
        rig.transmit(DATA + 0x1000 * i, NetHeader::default(), &frame(60, 0));
    }
    rig.kick_tx();
    assert_eq!(rig.tx.used().len(), 8);
    assert_eq!(rig.tx.interrupt.used.load(Relaxed), 1);
}

#[test]
fn rate_limit_holds_frames_in_the_ring() {
    let bytes = BucketConfig { size: 100, refill_time_ms: 3_600_000, one_time_burst: 0 };
    let parts = Parts {
        tx_limiter: LimiterConfig { bandwidth: Some(bytes), ops: None },
        ..Parts::default()
    };
    let mut rig = Rig::with(MERGEABLE, parts);
    rig.start();
    for i in 0..3 {
        rig.transmit(DATA + 0x1000 * i, NetHeader::default(), &frame(60, 0));
    }
    rig.kick_tx();
    assert_eq!(rig.tx.used().len(), 1);
    assert_eq!(rig.tx.metrics.throttled.get(), 1);
    let state = rig.event_loop.stop_queue(&mut rig.handler, TX).unwrap();
    assert_eq!((state.next_available, state.next_used), (1, 1));
}

#[test]
fn frames_sent_while_the_link_is_down_are_used_and_lost() {
    let mut rig = Rig::started(MERGEABLE);
    rig.handler.set_link(false, &mut rig.event_loop.context());
    let head = rig.transmit(DATA, NetHeader::default(), &frame(60, 0));
    rig.kick_tx();
    assert_eq!(rig.tx.used(), [(head, 0)]);
    assert_eq!(rig.sent(), None);
    assert_eq!(rig.metrics.tx_dropped.get(), 1);
}
