use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use super::config::{F_FREE_PAGE_HINT, F_PAGE_POISON, F_REPORTING, F_STATS_VQ, Registers};
use super::pages::MAX_LIST;
use super::*;
use crate::virtio::event_loop::{EventLoop, FakeLoop, LoopHandle};
use crate::virtio::fake_driver::{DATA, FakeDriver, Part, RAM_SIZE};
use crate::virtio::{Activation, VirtioDevice};

const PAGE: u64 = 4096;
/// A page well away from rings and lists.
const FIRST: u64 = 0x1000;
const STATS: u64 = 1 << F_STATS_VQ;
const HINT: u64 = 1 << F_FREE_PAGE_HINT;
const REPORT: u64 = 1 << F_REPORTING;
const POISON: u64 = 1 << F_PAGE_POISON;

/// A handler with its first three queues in service, all features given.
struct Bench {
    handler: BalloonHandler,
    cx: FakeLoop,
    metrics: Arc<BalloonMetrics>,
    registers: Arc<Registers>,
    inflate: FakeDriver,
    deflate: FakeDriver,
    third: FakeDriver,
}

impl Bench {
    fn new(features: u64, interval: Duration) -> Self {
        let (registers, metrics) = (Arc::<Registers>::default(), Arc::<BalloonMetrics>::default());
        let inflate = FakeDriver::new(128);
        let (deflate, third) = (inflate.sibling(1, 16), inflate.sibling(2, 16));
        let mut handler =
            BalloonHandler::new(Arc::clone(&registers), Arc::clone(&metrics), interval).unwrap();
        handler.activate(Activation { features, interrupt: inflate.interrupt.clone() });
        let mut cx = FakeLoop::new().unwrap();
        for driver in [&inflate, &deflate, &third] {
            cx.start_queue(&mut handler, driver.queue()).unwrap();
        }
        Self { handler, cx, metrics, registers, inflate, deflate, third }
    }

    /// Fills `count` pages from number `first`, so that it shows when they go.
    fn fill(&self, first: u64, count: u64) {
        self.inflate.write(first * PAGE, &vec![7; (count * PAGE) as usize]);
    }

    fn page(&self, number: u64) -> u8 {
        self.inflate.read(number * PAGE + 100, 1)[0]
    }

    fn list(&mut self, numbers: &[u32]) -> u16 {
        let raw: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.inflate.write(DATA, &raw);
        self.inflate.add(&[Part::Read(DATA, raw.len() as u32)])
    }

    fn kick(&mut self) {
        for driver in [&self.inflate, &self.deflate, &self.third] {
            driver.kick.write(1).unwrap();
        }
        self.cx.turn(&mut self.handler, 0).unwrap();
    }

    fn send_report(&mut self, entries: &[(u16, u64)]) -> u16 {
        let raw: Vec<u8> = entries
            .iter()
            .flat_map(|(tag, value)| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat())
            .collect();
        self.third.write(DATA, &raw);
        let head = self.third.add(&[Part::Read(DATA, raw.len() as u32)]);
        self.kick();
        head
    }
}

#[test]
fn inflated_pages_go_in_any_order_and_others_stay() {
    let mut bench = Bench::new(0, Duration::ZERO);
    bench.fill(FIRST, 8);
    let first = FIRST as u32;
    let head = bench.list(&[first + 5, first + 2, first + 3, first + 1, first + 3]);
    bench.kick();
    assert_eq!(bench.inflate.used(), [(head, 0)]);
    let pages: Vec<u8> = (0..8).map(|i| bench.page(FIRST + i)).collect();
    assert_eq!(pages, [7, 0, 0, 0, 7, 0, 7, 7]);
    assert_eq!(bench.metrics.inflated_bytes.get(), 4 * PAGE);
}

#[test]
fn pages_that_are_not_ram_are_counted_and_the_others_go() {
    let mut bench = Bench::new(0, Duration::ZERO);
    let end = (RAM_SIZE as u64 / PAGE) as u32;
    bench.fill(u64::from(end) - 1, 1);
    bench.list(&[end - 1, end, end + 1, u32::MAX]);
    bench.kick();
    assert_eq!(bench.page(u64::from(end) - 1), 0);
    assert_eq!(bench.metrics.invalid_pages.get(), 3);
    assert_eq!(bench.inflate.used().len(), 1);
}

#[test]
fn list_cut_short_or_outside_of_memory_is_an_error() {
    let mut bench = Bench::new(0, Duration::ZERO);
    bench.fill(FIRST, 2);
    bench.inflate.write(DATA, &(FIRST as u32).to_le_bytes());
    let cut = bench.inflate.add(&[Part::Read(DATA, 6)]);
    bench.kick();
    bench.kick();
    let outside = bench.inflate.add(&[Part::Read(RAM_SIZE as u64 - 4, 8)]);
    bench.kick();
    assert_eq!(bench.inflate.used(), [(cut, 0), (outside, 0)]);
    assert_eq!(bench.inflate.metrics.errors.get(), 2);
    assert_eq!(bench.page(FIRST + 1), 7);
}

#[test]
fn list_without_end_is_not_followed() {
    let mut bench = Bench::new(0, Duration::ZERO);
    bench.list(&vec![FIRST as u32; 2 * MAX_LIST]);
    bench.kick();
    assert_eq!(bench.inflate.metrics.errors.get(), 1);
    assert!(bench.metrics.inflated_bytes.get() <= MAX_LIST as u64 * PAGE);
}

#[test]
fn deflated_pages_are_acknowledged() {
    let mut bench = Bench::new(0, Duration::ZERO);
    let head = bench.deflate.add(&[Part::Read(DATA, 4)]);
    bench.kick();
    assert_eq!(bench.deflate.used(), [(head, 0)]);
    assert_eq!(bench.metrics.deflates.get(), 1);
}

#[test]
fn report_is_read_kept_and_given_back_when_the_interval_ends() {
    let mut bench = Bench::new(STATS, Duration::from_millis(5));
    let head = bench.send_report(&[(4, 1 << 30), (5, 2 << 30), (99, 5), (15, 3)]);
    assert_eq!(bench.third.used(), []);
    let statistics = bench.handler.statistics();
    assert_eq!((statistics.free_memory, statistics.total_memory), (Some(1 << 30), Some(2 << 30)));
    assert_eq!((statistics.direct_reclaim, statistics.swap_in), (Some(3), None));

    assert_eq!(bench.cx.turn(&mut bench.handler, 10_000).unwrap(), 1);
    assert_eq!(bench.third.used(), [(head, 0)]);
    // The next interval passes without a report to give back.
    assert_eq!(bench.cx.turn(&mut bench.handler, 10_000).unwrap(), 1);
    assert_eq!(bench.third.used(), []);
    bench.send_report(&[(4, 42)]);
    assert_eq!(
        bench.handler.statistics(),
        Statistics { free_memory: Some(42), ..Default::default() }
    );
}

#[test]
fn bad_report_is_counted_and_the_last_good_one_stays() {
    let mut bench = Bench::new(STATS, Duration::from_secs(3600));
    bench.send_report(&[(4, 42)]);
    bench.third.add(&[Part::Read(DATA, 7)]);
    bench.kick();
    assert_eq!(bench.handler.statistics().free_memory, Some(42));
    assert_eq!(bench.third.metrics.errors.get(), 1);
    assert_eq!(bench.third.used().len(), 1);
}

#[test]
fn report_that_is_held_survives_stop_and_start() {
    let mut bench = Bench::new(STATS, Duration::from_millis(5));
    let head = bench.send_report(&[(4, 42)]);
    let state = bench.cx.stop_queue(&mut bench.handler, 2).unwrap();
    assert_eq!((state.next_available, state.next_used), (0, 0));
    assert!(bench.cx.stop_queue(&mut bench.handler, 2).is_none());
    bench.cx.start_queue(&mut bench.handler, bench.third.queue_at(state)).unwrap();
    let mut used = Vec::new();
    while used.is_empty() {
        assert!(bench.cx.turn(&mut bench.handler, 10_000).unwrap() > 0, "nothing happened");
        used = bench.third.used();
    }
    assert_eq!(used, [(head, 0)]);
}

#[test]
fn reported_pages_go() {
    let mut bench = Bench::new(REPORT, Duration::ZERO);
    bench.fill(FIRST, 6);
    let ranges = [(FIRST + 1, 2), (FIRST + 4, 1)];
    let parts = ranges.map(|(page, count)| Part::Write(page * PAGE, (count * PAGE) as u32));
    let head = bench.third.add(&parts);
    let outside = bench.third.add(&[Part::Write(RAM_SIZE as u64 - 1, 4096)]);
    bench.kick();
    assert_eq!(bench.third.used(), [(head, 0), (outside, 0)]);
    let pages: Vec<u8> = (0..6).map(|i| bench.page(FIRST + i)).collect();
    assert_eq!(pages, [7, 0, 0, 7, 0, 7]);
    assert_eq!(bench.metrics.reported_bytes.get(), 3 * PAGE);
    assert_eq!(bench.metrics.release_failures.get(), 1);
}

#[test]
fn reported_pages_stay_where_the_guest_expects_its_pattern_in_them() {
    let mut bench = Bench::new(REPORT | POISON, Duration::ZERO);
    bench.fill(FIRST, 2);
    let page = |number: u64| [Part::Write(number * PAGE, PAGE as u32)];
    bench.registers.write(12, &0xaaaa_aaaau32.to_le_bytes());
    let kept = bench.third.add(&page(FIRST));
    bench.kick();
    bench.registers.write(12, &[0; 4]);
    let gone = bench.third.add(&page(FIRST + 1));
    bench.kick();
    assert_eq!(bench.third.used(), [(kept, 0), (gone, 0)]);
    assert_eq!([bench.page(FIRST), bench.page(FIRST + 1)], [7, 0]);
    assert_eq!(bench.metrics.reported_bytes.get(), PAGE);
}

#[test]
fn pattern_counts_only_where_it_was_negotiated_and_not_for_inflated_pages() {
    let mut bench = Bench::new(REPORT, Duration::ZERO);
    bench.fill(FIRST, 1);
    bench.registers.write(12, &[0xaa; 4]);
    bench.third.add(&[Part::Write(FIRST * PAGE, PAGE as u32)]);
    bench.kick();
    assert_eq!(bench.page(FIRST), 0);

    let mut bench = Bench::new(REPORT | POISON, Duration::ZERO);
    bench.fill(FIRST, 1);
    bench.registers.write(12, &[0xaa; 4]);
    bench.list(&[FIRST as u32]);
    bench.kick();
    assert_eq!(bench.page(FIRST), 0);
}

#[test]
fn hinted_pages_stay_where_the_guest_expects_its_pattern_in_them() {
    let mut bench = Bench::new(HINT | POISON, Duration::ZERO);
    bench.fill(FIRST, 1);
    bench.registers.write(12, &[0xaa; 4]);
    bench.handler.start_hinting(true);
    bench.hint_command(bench.registers.hint_command.load(Relaxed));
    bench.hint_page(FIRST);
    assert_eq!((bench.page(FIRST), bench.metrics.hinted_bytes.get()), (7, 0));
}

impl Bench {
    fn hint_command(&mut self, command: u32) {
        self.third.write(DATA, &command.to_le_bytes());
        self.third.add(&[Part::Read(DATA, 4)]);
        self.kick();
    }

    fn hint_page(&mut self, page: u64) {
        self.third.add(&[Part::Write(page * PAGE, PAGE as u32)]);
        self.kick();
    }
}

#[test]
fn hinted_pages_go_only_within_the_run_that_was_asked_for() {
    let mut bench = Bench::new(HINT, Duration::ZERO);
    bench.fill(FIRST, 4);
    bench.hint_page(FIRST);
    bench.handler.start_hinting(true);
    bench.hint_command(77);
    bench.hint_page(FIRST + 1);
    bench.hint_command(bench.registers.hint_command.load(Relaxed));
    bench.hint_page(FIRST + 2);
    bench.hint_command(0);
    bench.hint_page(FIRST + 3);
    let pages: Vec<u8> = (0..4).map(|i| bench.page(FIRST + i)).collect();
    assert_eq!(pages, [7, 7, 0, 7]);
    assert_eq!(bench.metrics.hinted_bytes.get(), PAGE);
    assert_eq!(bench.third.used().len(), 7);
}

#[test]
fn end_of_hints_is_acknowledged_only_if_that_was_asked() {
    let mut bench = Bench::new(HINT, Duration::ZERO);
    let interrupts = |bench: &Bench| bench.inflate.interrupt.config.load(Relaxed);
    bench.handler.start_hinting(false);
    assert_eq!(interrupts(&bench), 1);
    let id = bench.handler.hinting().host_command;
    bench.hint_command(id);
    bench.hint_command(0);
    let status = HintingStatus { host_command: id, guest_command: Some(0) };
    assert_eq!(bench.handler.hinting(), status);
    bench.handler.stop_hinting();
    assert_eq!(bench.registers.hint_command.load(Relaxed), 1);

    bench.handler.start_hinting(true);
    let next = bench.handler.hinting().host_command;
    assert!(next >= 2 && next != id);
    bench.hint_command(next);
    bench.hint_command(0);
    assert_eq!(bench.handler.hinting().host_command, 1);
    assert_eq!(interrupts(&bench), 4);
}

fn balloon(config: BalloonConfig) -> (Balloon, LoopHandle, JoinHandle<()>) {
    let (handle, thread) = EventLoop::spawn("balloon", || {}).unwrap();
    (Balloon::new(config, &handle).unwrap(), handle, thread)
}

fn end(handle: LoopHandle, thread: JoinHandle<()>) {
    handle.end();
    thread.join().unwrap();
}

#[test]
fn target_and_actual_pass_through_the_configuration() {
    let config = BalloonConfig { target_pages: 256, ..Default::default() };
    let (mut balloon, handle, thread) = balloon(config);
    let driver = FakeDriver::new(16);
    let interrupt = driver.interrupt.clone();
    balloon.activate(Activation { features: 0, interrupt });
    balloon.set_target(0x0102_0304);
    assert_eq!(driver.interrupt.config.load(Relaxed), 1);
    let mut raw = [0; 4];
    balloon.read_config(0, &mut raw);
    assert_eq!(raw, [4, 3, 2, 1]);

    balloon.write_config(4, &0x300u32.to_le_bytes());
    balloon.write_config(5, &[4]);
    balloon.write_config(0, &[9; 4]);
    balloon.write_config(8, &[9; 8]);
    balloon.write_config(u64::MAX, &[9; 8]);
    let mut raw = [0; 8];
    balloon.read_config(8, &mut raw);
    assert_eq!(raw, [0, 0, 0, 0, 9, 9, 9, 9], "the pattern is the driver's, the command is not");
    let status = BalloonStatus { target_pages: 0x0102_0304, actual_pages: 0x400 };
    assert_eq!(balloon.status(), status);
    balloon.reset();
    balloon.read_config(8, &mut raw);
    assert_eq!((balloon.status().actual_pages, raw), (0, [0; 8]));
    end(handle, thread);
}

#[test]
fn features_follow_the_configuration() {
    let (plain, handle, thread) = balloon(BalloonConfig::default());
    assert_eq!(plain.features(), 0);
    end(handle, thread);
    let config = BalloonConfig {
        target_pages: 0,
        deflate_on_oom: true,
        stats_interval: Duration::from_secs(1),
        free_page_hinting: true,
        free_page_reporting: true,
    };
    let (full, handle, thread) = balloon(config);
    assert_eq!(full.features(), STATS | HINT | REPORT | POISON | 1 << 2);
    end(handle, thread);
}

#[test]
fn statistics_cannot_be_turned_on_or_off_later() {
    let (mut without, handle, thread) = balloon(BalloonConfig::default());
    let second = Duration::from_secs(1);
    assert!(matches!(without.statistics(), Err(BalloonError::NoStats)));
    assert!(matches!(without.set_stats_interval(second), Err(BalloonError::StatsFixed)));
    end(handle, thread);
    let config = BalloonConfig { stats_interval: second, ..Default::default() };
    let (mut with, handle, thread) = balloon(config);
    assert!(matches!(with.set_stats_interval(Duration::ZERO), Err(BalloonError::StatsFixed)));
    with.set_stats_interval(2 * second).unwrap();
    assert_eq!(with.statistics().unwrap(), Statistics::default());
    end(handle, thread);
}

#[test]
fn hinting_needs_the_guests_consent() {
    let config = BalloonConfig { free_page_hinting: true, ..Default::default() };
    let (mut balloon, handle, thread) = balloon(config);
    assert!(matches!(balloon.start_hinting(true), Err(BalloonError::NoHinting)));
    let driver = FakeDriver::new(16);
    balloon.activate(Activation { features: HINT, interrupt: driver.interrupt.clone() });
    balloon.start_hinting(true).unwrap();
    assert_eq!(balloon.hinting().unwrap().host_command, 2);
    let mut raw = [0; 4];
    balloon.read_config(8, &mut raw);
    assert_eq!(raw, [2, 0, 0, 0]);
    balloon.stop_hinting().unwrap();
    end(handle, thread);
}

#[test]
fn running_balloon_pauses_and_goes_on() {
    let (mut balloon, handle, thread) = balloon(BalloonConfig::default());
    let mut driver = FakeDriver::new(16);
    balloon.activate(Activation { features: 0, interrupt: driver.interrupt.clone() });
    driver.write(DATA, &(FIRST as u32).to_le_bytes());
    driver.add(&[Part::Read(DATA, 4)]);
    balloon.start_queue(driver.queue()).unwrap();
    let state = balloon.stop_queue(0).unwrap();
    driver.add(&[Part::Read(DATA, 4)]);
    balloon.start_queue(driver.queue_at(state)).unwrap();
    assert_eq!(driver.used().len(), 2);
    assert_eq!(balloon.metrics().inflates.get(), 2);
    end(handle, thread);
}
