//! Whatever a driver puts into the rings, it gets all of it back and the card goes on.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::virtio::fake_driver::RAM_SIZE;

fn part() -> impl Strategy<Value = Part> {
    let inside = (DATA + 0x10_0000)..(DATA + 0x20_0000);
    let edge = (RAM_SIZE as u64 - 64)..(RAM_SIZE as u64 + 64);
    let addr = prop_oneof![8 => inside, 1 => edge, 1 => any::<u64>()];
    let len = prop_oneof![6 => 0u32..2000, 1 => 65_000u32..66_000, 1 => any::<u32>()];
    (any::<bool>(), addr, len).prop_map(|(write, addr, len)| {
        if write { Part::Write(addr, len) } else { Part::Read(addr, len) }
    })
}

/// A chain, and whether its descriptors are indirect.
fn chain() -> impl Strategy<Value = (Vec<Part>, bool)> {
    (vec(part(), 1..6), any::<bool>())
}

fn add(driver: &mut FakeDriver, number: usize, (parts, indirect): &(Vec<Part>, bool)) {
    if *indirect {
        driver.add_indirect(DATA + 0x100 * number as u64, parts);
    } else {
        driver.add(parts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_transmitted_chain_comes_back(
        chains in vec(chain(), 1..30),
        content in vec(any::<u8>(), 4096),
    ) {
        let mut rig = Rig::started(MERGEABLE);
        rig.tx.write(DATA + 0x10_0000, &content);
        for (number, chain) in chains.iter().enumerate() {
            add(&mut rig.tx, number, chain);
        }
        rig.kick_tx();
        let mut returned = rig.tx.used().len();
        while rig.sent().is_some() {
            rig.settle();
            returned += rig.tx.used().len();
        }
        prop_assert_eq!(returned, chains.len());
        rig.transmit(DATA + 0x30_0000, NetHeader::default(), &frame(60, 9));
        rig.kick_tx();
        prop_assert_eq!(rig.sent(), Some(frame(60, 9)));
    }

    #[test]
    fn no_buffer_is_lost_whatever_was_offered(
        chains in vec(chain(), 1..30),
        mode in prop_oneof![Just(MERGEABLE), Just(PLAIN), Just(LARGE)],
        lengths in vec(1usize..4000, 1..8),
    ) {
        let mut rig = Rig::started(mode);
        for (number, chain) in chains.iter().enumerate() {
            add(&mut rig.rx, number, chain);
        }
        rig.kick_rx();
        for len in lengths {
            rig.arrive(&frame(len.max(14), 1));
            rig.settle();
        }
        let mut returned = rig.rx.used().len();
        let state = rig.event_loop.stop_queue(&mut rig.handler, RX).unwrap();
        returned += rig.rx.used().len();
        prop_assert!(returned <= chains.len());
        // What was held and not used is the driver's again.
        prop_assert_eq!(usize::from(state.next_used), returned);
        prop_assert_eq!(state.next_available, state.next_used);
    }
}
