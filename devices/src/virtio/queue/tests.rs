use std::sync::atomic::Ordering::Relaxed;

use virtio_bindings::virtio_ring::{VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT};
use vm_memory::GuestRegionMmap;

use super::*;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part, RAM_SIZE};

#[test]
fn chain_carries_its_buffers_and_its_completion_reaches_the_driver() {
    let mut driver = FakeDriver::new(16);
    driver.write(DATA, b"question");
    let head = driver.add(&[Part::Read(DATA, 8), Part::Write(DATA + 0x100, 6)]);
    let mut queue = driver.queue();
    let chain = queue.next().unwrap();
    let mut question = [0; 8];
    chain.readable.copy_to(&mut question).unwrap();
    chain.writable.copy_from(b"answer").unwrap();
    queue.complete(chain.head, 6);
    queue.signal();
    assert_eq!(&question, b"question");
    assert_eq!(driver.read(DATA + 0x100, 6), b"answer");
    assert_eq!(driver.used(), [(head, 6)]);
    assert_eq!(driver.interrupt.used.load(Relaxed), 1);
    assert!(queue.next().is_none());
}

#[test]
fn indirect_chain_is_followed() {
    let mut driver = FakeDriver::new(16);
    let parts = [Part::Read(DATA, 4), Part::Read(DATA + 16, 4), Part::Write(DATA + 32, 1)];
    driver.add_indirect(DATA + 0x1000, &parts);
    let chain = driver.queue().next().unwrap();
    assert_eq!((chain.readable.len(), chain.writable.len()), (8, 1));
}

#[test]
fn looping_chain_is_dropped_and_the_next_one_served() {
    let mut driver = FakeDriver::new(4);
    let table = driver.layout.descriptors;
    driver.write_descriptor(table, 0, (DATA, 4, VRING_DESC_F_NEXT, 1));
    driver.write_descriptor(table, 1, (DATA, 4, VRING_DESC_F_NEXT, 0));
    driver.write_descriptor(table, 2, (DATA, 7, 0, 0));
    driver.make_available(0);
    driver.make_available(2);
    let mut queue = driver.queue();
    assert_eq!(queue.next().unwrap().readable.len(), 7);
    assert_eq!(driver.used(), [(0, 0)]);
    assert_eq!(driver.metrics.malformed.get(), 1);
    assert!(driver.interrupt.resets.lock().unwrap().is_empty());
}

#[test]
fn loop_in_an_indirect_table_and_a_table_within_a_table_are_dropped() {
    let mut driver = FakeDriver::new(4);
    let (rings, table) = (driver.layout.descriptors, DATA + 0x1000);
    driver.write_descriptor(table, 0, (DATA, 4, VRING_DESC_F_NEXT, 1));
    driver.write_descriptor(table, 1, (DATA, 4, VRING_DESC_F_NEXT, 0));
    driver.write_descriptor(rings, 0, (table, 32, VRING_DESC_F_INDIRECT, 0));
    driver.write_descriptor(table, 2, (table + 32, 16, VRING_DESC_F_INDIRECT, 0));
    driver.write_descriptor(rings, 1, (table + 32, 16, VRING_DESC_F_INDIRECT, 0));
    driver.write_descriptor(rings, 2, (table, 17, VRING_DESC_F_INDIRECT, 0));
    for head in 0..3 {
        driver.make_available(head);
    }
    assert!(driver.queue().next().is_none());
    assert_eq!(driver.used(), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(driver.metrics.malformed.get(), 3);
}

#[test]
fn chain_of_more_than_4_gib_is_dropped() {
    let mut driver = FakeDriver::new(4);
    driver.add(&[Part::Read(DATA, u32::MAX), Part::Read(DATA, 1)]);
    assert!(driver.queue().next().is_none());
    assert_eq!(driver.metrics.malformed.get(), 1);
}

#[test]
fn descriptors_that_change_after_the_chain_was_taken_have_no_effect() {
    let mut driver = FakeDriver::new(4);
    driver.write(DATA, b"before");
    let table = DATA + 0x1000;
    driver.add(&[Part::Read(DATA, 6)]);
    driver.add_indirect(table, &[Part::Read(DATA, 6), Part::Write(DATA + 8, 1)]);
    let mut queue = driver.queue();
    let chains = [queue.next().unwrap(), queue.next().unwrap()];
    for (table, at) in [(driver.layout.descriptors, 0), (driver.layout.descriptors, 1), (table, 0)]
    {
        driver.write_descriptor(table, at, (u64::MAX, u32::MAX, VRING_DESC_F_NEXT, 0));
    }
    for chain in &chains {
        let mut data = [0; 16];
        assert_eq!(chain.readable.copy_to(&mut data).unwrap(), 6);
        assert_eq!(&data[..6], b"before");
    }
    assert_eq!(chains[1].writable.len(), 1);
}

#[test]
fn next_index_beyond_the_table_is_dropped() {
    let mut driver = FakeDriver::new(4);
    driver.write_descriptor(driver.layout.descriptors, 0, (DATA, 4, VRING_DESC_F_NEXT, 4));
    driver.make_available(0);
    assert!(driver.queue().next().is_none());
    assert_eq!(driver.used(), [(0, 0)]);
}

#[test]
fn readable_after_writable_is_dropped() {
    let mut driver = FakeDriver::new(4);
    driver.add(&[Part::Write(DATA, 4), Part::Read(DATA, 4)]);
    assert!(driver.queue().next().is_none());
    assert_eq!(driver.metrics.malformed.get(), 1);
}

#[test]
fn address_beyond_memory_leaves_an_invalid_list() {
    let mut driver = FakeDriver::new(4);
    driver.add(&[Part::Read(RAM_SIZE as u64 - 1, 2), Part::Write(DATA, 1)]);
    let chain = driver.queue().next().unwrap();
    assert!(!chain.readable.is_valid());
    assert!(chain.writable.is_valid());
}

#[test]
fn available_index_jump_takes_the_queue_out_of_service_and_is_reported_once() {
    let mut driver = FakeDriver::new(4);
    driver.add(&[Part::Read(DATA, 1)]);
    driver.set_available_index(5);
    let mut queue = driver.queue();
    assert!(queue.next().is_none());
    assert!(queue.next().is_none());
    assert_eq!(driver.interrupt.resets.lock().unwrap().len(), 1);
}

#[test]
fn head_beyond_the_table_takes_the_queue_out_of_service() {
    let mut driver = FakeDriver::new(4);
    driver.make_available(4);
    assert!(driver.queue().next().is_none());
    assert_eq!(driver.interrupt.resets.lock().unwrap().len(), 1);
}

#[test]
fn event_index_suppresses_the_interrupt_until_it_is_passed() {
    let mut driver = FakeDriver::new(8).with_event_idx();
    driver.set_used_event(1);
    let mut queue = driver.queue();
    for expected in [0, 1] {
        driver.add(&[Part::Read(DATA, 1)]);
        let chain = queue.next().unwrap();
        queue.complete(chain.head, 0);
        queue.signal();
        assert_eq!(driver.interrupt.used.load(Relaxed), expected);
    }
    assert_eq!(driver.metrics.interrupts_suppressed.get(), 1);
}

#[test]
fn stopped_queue_goes_on_where_it_was() {
    let mut driver = FakeDriver::new(8);
    let mut queue = driver.queue();
    let first = driver.add(&[Part::Read(DATA, 1)]);
    let chain = queue.next().unwrap();
    queue.complete(chain.head, 0);
    let second = driver.add(&[Part::Read(DATA, 1)]);
    let mut queue = driver.queue_at(queue.state());
    let chain = queue.next().unwrap();
    queue.complete(chain.head, 0);
    assert_eq!(driver.used(), [(first, 0), (second, 0)]);
    assert!(queue.next().is_none());
}

#[test]
fn chain_put_back_is_taken_again() {
    let mut driver = FakeDriver::new(8);
    let head = driver.add(&[Part::Read(DATA, 1)]);
    let mut queue = driver.queue();
    queue.next().unwrap();
    queue.put_back();
    assert_eq!(queue.waiting(), 1);
    assert_eq!(queue.next().unwrap().head, head);
}

#[test]
fn request_that_was_put_back_twice_is_counted_once() {
    let mut driver = FakeDriver::new(8);
    let head = driver.add(&[Part::Read(DATA, 1)]);
    driver.add(&[Part::Write(DATA, 1), Part::Read(DATA, 1)]);
    let mut queue = driver.queue();
    for _ in 0..2 {
        queue.next().unwrap();
        queue.put_back();
    }
    queue.next().unwrap();
    queue.complete(head, 0);
    assert!(queue.next().is_none(), "the other is malformed");
    assert_eq!(driver.metrics.requests.get(), 1);
}

#[test]
fn memory_that_was_added_is_seen_by_the_next_chain() {
    let mut driver = FakeDriver::new(8);
    let beyond = RAM_SIZE as u64;
    let mut queue = driver.queue();
    driver.add(&[Part::Read(beyond, 1)]);
    assert!(!queue.next().unwrap().readable.is_valid());
    let more = GuestRegionMmap::from_range(GuestAddress(beyond), 4096, None).unwrap();
    let larger = driver.memory.memory().insert_region(Arc::new(more)).unwrap();
    driver.memory.lock().unwrap().replace(larger);
    driver.add(&[Part::Read(beyond, 1)]);
    assert!(queue.next().unwrap().readable.is_valid());
}

#[test]
fn queue_outside_memory_or_of_a_bad_size_is_refused() {
    let driver = FakeDriver::new(8);
    let make = |layout| {
        let links = QueueLinks {
            memory: driver.memory.clone(),
            kick: driver.kick.clone(),
            interrupt: driver.interrupt.clone(),
            metrics: driver.metrics.clone(),
        };
        Queue::new(0, layout, false, QueueState::default(), links).unwrap_err()
    };
    let size = make(QueueLayout { size: 3, ..driver.layout });
    assert_eq!(size, InvalidQueue::Size { index: 0, size: 3 });
    let outside = make(QueueLayout { used: RAM_SIZE as u64 - 4, ..driver.layout });
    assert!(matches!(outside, InvalidQueue::Layout { .. }));
    let unaligned = make(QueueLayout { descriptors: 8, ..driver.layout });
    assert!(matches!(unaligned, InvalidQueue::Layout { .. }));
}

#[test]
fn chains_completed_together_all_reach_the_driver_across_the_rings_end() {
    let mut driver = FakeDriver::new(4);
    let mut queue = driver.queue();
    for _ in 0..3 {
        driver.add(&[Part::Write(DATA, 8)]);
        let head = queue.next().unwrap().head;
        queue.complete(head, 0);
    }
    driver.used();
    let heads: Vec<u16> = (0..3).map(|_| driver.add(&[Part::Write(DATA, 8)])).collect();
    while queue.next().is_some() {}
    queue.complete_together(&[(heads[0], 8), (heads[1], 8), (heads[2], 5)]);
    assert_eq!(driver.used(), [(heads[0], 8), (heads[1], 8), (heads[2], 5)]);
    assert_eq!(queue.state().next_used, 6);
}

#[test]
fn event_index_inside_chains_completed_together_interrupts() {
    let mut driver = FakeDriver::new(8).with_event_idx();
    let heads: Vec<u16> = (0..3).map(|_| driver.add(&[Part::Write(DATA, 8)])).collect();
    driver.set_used_event(1);
    let mut queue = driver.queue();
    while queue.next().is_some() {}
    queue.complete_together(&[(heads[0], 8), (heads[1], 8), (heads[2], 8)]);
    queue.signal();
    assert_eq!(driver.interrupt.used.load(Relaxed), 1);
}

#[test]
fn driver_that_wants_no_interrupts_gets_none_and_neither_does_an_empty_burst() {
    let mut driver = FakeDriver::new(8);
    let head = driver.add(&[Part::Write(DATA, 8)]);
    let mut queue = driver.queue();
    queue.signal();
    driver.write(driver.layout.available, &1u16.to_le_bytes());
    queue.next().unwrap();
    queue.complete(head, 0);
    queue.signal();
    assert_eq!(driver.interrupt.used.load(Relaxed), 0);
}
