//! The back of the balloon: serves its queues.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::error;
use vmm_sys_util::epoll::EventSet;

use super::config::{BalloonMetrics, F_PAGE_POISON, Registers};
use super::hinting::{Hinting, HintingStatus};
use super::pages::{MAX_LIST, release_list};
use super::release::release_buffers;
use super::roles::Role;
use super::statistics::Statistics;
use crate::rate_limiter::{LimitTimer, Wait};
use crate::virtio::device::{Activation, StartQueueError};
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::queue::{Chain, Queue, QueueState};

/// The token under which the timer of the statistics is watched.
const TIMER: u32 = 0;
/// Chains served before others on the loop get their turn.
const BURST: usize = 64;

struct Served {
    role: Role,
    queue: Queue,
}

/// Serves the queues of a balloon.
pub struct BalloonHandler {
    registers: Arc<Registers>,
    metrics: Arc<BalloonMetrics>,
    active: Option<Activation>,
    queues: Vec<Served>,
    timer: LimitTimer,
    interval: Duration,
    statistics: Statistics,
    /// The buffer of the last report. The guest sends the next when it gets this back.
    report: Option<u16>,
    hinting: Hinting,
}

impl BalloonHandler {
    pub(super) fn new(
        registers: Arc<Registers>,
        metrics: Arc<BalloonMetrics>,
        interval: Duration,
    ) -> io::Result<Self> {
        Ok(Self {
            registers,
            metrics,
            active: None,
            queues: Vec::new(),
            timer: LimitTimer::new()?,
            interval,
            statistics: Statistics::default(),
            report: None,
            hinting: Hinting::default(),
        })
    }

    pub(super) fn activate(&mut self, activation: Activation) {
        self.active = Some(activation);
    }

    pub(super) fn reset(&mut self) {
        self.active = None;
        self.statistics = Statistics::default();
        self.hinting = Hinting::default();
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Sets the time between two reports; zero ends them.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
        self.arm();
    }

    pub(super) fn hinting(&self) -> HintingStatus {
        self.hinting.status()
    }

    pub(super) fn start_hinting(&mut self, acknowledge_on_stop: bool) {
        let command = self.hinting.start(acknowledge_on_stop);
        self.show(command);
    }

    pub(super) fn stop_hinting(&mut self) {
        let command = self.hinting.stop();
        self.show(command);
    }

    fn show(&self, command: u32) {
        self.registers.hint_command.store(command, Ordering::Relaxed);
        if let Some(active) = &self.active {
            active.interrupt.config_changed();
        }
    }

    fn arm(&self) {
        let result = match self.interval {
            Duration::ZERO => self.timer.disarm(),
            interval => self.timer.arm(Wait(interval)),
        };
        if let Err(e) = result {
            error!("balloon: failed to set the timer of its statistics: {e}");
        }
    }

    fn serve(&mut self, index: u16, cx: &mut Context<'_>) {
        let Some(at) = self.queues.iter().position(|s| s.queue.index() == index) else { return };
        // Taken out, so that its chains can change the rest of the state.
        let mut served = self.queues.swap_remove(at);
        let mut pages = 0;
        let mut again = true;
        for _ in 0..BURST {
            let Some(mut chain) = served.queue.next() else {
                again = false;
                break;
            };
            match served.role {
                Role::Inflate => pages += self.inflate(&mut served.queue, &mut chain),
                Role::Deflate => {
                    // The guest has the pages back by touching them.
                    self.metrics.deflates.increment();
                    served.queue.complete(chain.head, 0);
                }
                Role::Stats => self.take_report(&mut served.queue, &mut chain),
                Role::Reporting => {
                    let bytes = self.release(&served.queue, &chain);
                    self.metrics.reported_bytes.add(bytes);
                    served.queue.complete(chain.head, 0);
                }
                Role::Hinting => self.take_hint(&mut served.queue, &mut chain),
            }
            if pages >= MAX_LIST {
                break;
            }
        }
        served.queue.signal();
        self.queues.push(served);
        if again {
            cx.kick_again(index);
        }
    }

    fn inflate(&mut self, queue: &mut Queue, chain: &mut Chain) -> usize {
        self.metrics.inflates.increment();
        let pages = release_list(queue.ram(), &mut chain.readable, &self.metrics);
        if pages.is_none() {
            queue.metrics().errors.increment();
        }
        queue.complete(chain.head, 0);
        // What was read of a bad list is not known; it counts as a full one.
        pages.unwrap_or(MAX_LIST)
    }

    fn take_report(&mut self, queue: &mut Queue, chain: &mut Chain) {
        if let Some(earlier) = self.report.replace(chain.head) {
            // One is enough: the driver must not offer a second (§5.5.6.3.1).
            queue.complete(earlier, 0);
        }
        match Statistics::read(&mut chain.readable) {
            Some(statistics) => {
                self.metrics.stats_updates.increment();
                self.statistics = statistics;
            }
            None => queue.metrics().errors.increment(),
        }
    }

    fn take_hint(&mut self, queue: &mut Queue, chain: &mut Chain) {
        if !chain.readable.is_empty() {
            match chain.readable.take::<[u8; 4]>() {
                Ok(command) => {
                    if let Some(answer) = self.hinting.guest_says(u32::from_le_bytes(command)) {
                        self.show(answer);
                    }
                }
                Err(_) => queue.metrics().errors.increment(),
            }
        }
        if !chain.writable.is_empty() && self.hinting.is_current() {
            self.metrics.hinted_bytes.add(self.release(queue, chain));
        }
        queue.complete(chain.head, 0);
    }

    /// Whether free pages may be given back: they come back as zeroes, which is not what a guest
    /// looks for in them that fills them with another pattern (VIRTIO 1.3 §5.5.6.6).
    fn may_release(&self) -> bool {
        let poisons = self.active.as_ref().is_some_and(|a| a.has(F_PAGE_POISON));
        !poisons || self.registers.poison.load(Ordering::Relaxed) == 0
    }

    /// Releases the free pages that the chain's writable part covers; returns the bytes.
    fn release(&self, queue: &Queue, chain: &Chain) -> u64 {
        if !self.may_release() {
            return 0;
        }
        let (released, failed) = release_buffers(queue.ram(), &chain.writable);
        self.metrics.release_failures.add(failed as u64);
        released as u64
    }

    /// Asks for the next report.
    fn ask_for_report(&mut self) {
        let stats = self.queues.iter_mut().find(|s| s.role == Role::Stats);
        if let (Some(Served { queue, .. }), Some(head)) = (stats, self.report.take()) {
            queue.complete(head, 0);
            queue.signal();
        }
    }
}

impl Handler for BalloonHandler {
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        let index = queue.index();
        let features = self.active.as_ref().map_or(0, |a| a.features);
        let in_use = |lower| self.queues.iter().any(|s| s.queue.index() == lower);
        // A queue without a role is not served, and nobody minds.
        let Some(role) = Role::of(index, features, in_use) else { return Ok(()) };
        if role == Role::Stats {
            cx.watch(&self.timer, TIMER, EventSet::IN).map_err(|source| StartQueueError::Host {
                operation: "watch the timer of the statistics",
                index,
                source,
            })?;
            self.arm();
        }
        self.queues.push(Served { role, queue });
        Ok(())
    }

    fn stop_queue(&mut self, index: u16, cx: &mut Context<'_>) -> Option<QueueState> {
        let at = self.queues.iter().position(|s| s.queue.index() == index)?;
        let mut served = self.queues.swap_remove(at);
        if served.role == Role::Stats {
            if let Err(e) = self.timer.disarm().and_then(|()| cx.unwatch(&self.timer)) {
                error!("balloon: failed to stop the timer of its statistics: {e}");
            }
            // It was the last one taken: whoever goes on will take it again.
            if self.report.take().is_some() {
                served.queue.put_back();
            }
        }
        Some(served.queue.state())
    }

    fn kicked(&mut self, index: u16, cx: &mut Context<'_>) {
        self.serve(index, cx);
    }

    fn ready(&mut self, _: u32, _: EventSet, _: &mut Context<'_>) {
        // Also makes the timer's descriptor unreadable.
        self.arm();
        self.ask_for_report();
    }
}
