//! Rings as no driver would write them: a queue takes what is a chain, refuses the rest, and
//! neither hangs nor leaves guest memory.
#![no_main]

use devices::virtio::fake_driver::{DATA, FakeDriver};
use devices::virtio::{Queue, QueueState};
use fuzz::chains::{AnyChain, Place};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const MAX_STEPS: usize = 64;
/// All rings of a queue of 16 lie below.
const RINGS_END: u64 = 0xb000;

#[derive(Debug, Arbitrary)]
enum Step {
    /// A chain as it should be, more or less.
    Chain(AnyChain),
    /// A descriptor in the table, or in an indirect one.
    Descriptor { indirect: bool, at: u8, place: Place, len: u32, flags: u8, next: u16 },
    /// A head that may be none.
    Available(u16),
    /// The available index jumps.
    Index(u16),
    /// Where the driver wants the next interrupt.
    UsedEvent(u16),
    /// Anything anywhere in the rings.
    Scribble { at: u16, bytes: [u8; 8] },
    /// The device takes chains and gives them back, or puts the last back.
    Take { at_most: u8, put_back: bool, written: u32 },
    /// The device gives several chains back at once.
    CompleteTogether(Vec<(u16, u32)>),
    /// The queue is stopped and started again.
    Restart,
}

#[derive(Debug, Arbitrary)]
struct Input {
    size: u8,
    event_idx: bool,
    state: (u16, u16),
    steps: Vec<Step>,
}

fn take(queue: &mut Queue, at_most: u8, put_back: bool, written: u32) {
    for _ in 0..at_most {
        let Some(chain) = queue.next() else { break };
        let mut bytes = [0; 64];
        for buffers in [&chain.readable, &chain.writable] {
            let copied = buffers.copy_to(&mut bytes);
            assert_eq!(copied.is_ok(), buffers.is_valid(), "only what is in memory is read");
            assert!(copied.unwrap_or(0) <= buffers.len(), "no more is read than there is");
        }
        let _ = chain.writable.copy_from(&bytes);
        if put_back {
            queue.put_back();
            break;
        }
        queue.complete(chain.head, written);
    }
    queue.signal();
}

fn act(driver: &mut FakeDriver, queue: &mut Queue, step: &Step) {
    match *step {
        Step::Chain(ref chain) => drop(chain.add(driver, 0, &[])),
        Step::Descriptor { indirect, at, place, len, flags, next } => {
            let (table, size) = if indirect { (DATA, 256) } else { (0, driver.layout.size) };
            let at = u16::from(at) % size;
            let raw = (place.address(), len, u32::from(flags), next);
            driver.write_descriptor(table, at, raw);
        }
        Step::Available(head) => driver.make_available(head),
        Step::Index(index) => driver.set_available_index(index),
        Step::UsedEvent(index) => driver.set_used_event(index),
        Step::Scribble { at, bytes } => driver.write(u64::from(at) % RINGS_END, &bytes),
        Step::Take { at_most, put_back, written } => take(queue, at_most, put_back, written),
        Step::CompleteTogether(ref used) => queue.complete_together(used),
        Step::Restart => *queue = driver.queue_at(queue.state()),
    }
}

fuzz_target!(|input: Input| {
    let mut driver = FakeDriver::new(1 << (input.size % 9));
    if input.event_idx {
        driver = driver.with_event_idx();
    }
    let (next_available, next_used) = input.state;
    let mut queue = driver.queue_at(QueueState { next_available, next_used });
    for step in input.steps.iter().take(MAX_STEPS) {
        act(&mut driver, &mut queue, step);
    }
});
