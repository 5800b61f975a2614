//! The front of the balloon.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::config::{
    BalloonMetrics, F_DEFLATE_ON_OOM, F_FREE_PAGE_HINT, F_PAGE_POISON, F_REPORTING, F_STATS_VQ,
    Registers,
};
use super::handler::BalloonHandler;
use super::hinting::HintingStatus;
use super::statistics::Statistics;
use crate::virtio::device::{
    Activation, DeviceType, StartQueueError, VirtioDevice, read_config_bytes,
};
use crate::virtio::event_loop::{LoopGone, LoopHandle, Remote};
use crate::virtio::queue::{Queue, QueueState};

/// Inflate, deflate, statistics, hinting, reporting. All are there whatever is negotiated: drivers
/// number them in two ways.
const QUEUE_SIZES: [u16; 5] = [256; 5];

/// What a balloon is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BalloonConfig {
    /// What the guest is asked to give at first, in pages of 4 KiB.
    pub target_pages: u32,
    /// Whether the guest may take memory back when it has none left.
    pub deflate_on_oom: bool,
    /// Time between two reports of statistics; zero: there are none, ever.
    pub stats_interval: Duration,
    /// Whether the guest hints at free pages when it is asked.
    pub free_page_hinting: bool,
    /// Whether the guest reports pages as they become free.
    pub free_page_reporting: bool,
}

/// Where a balloon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BalloonStatus {
    /// What the guest is asked to give, in pages of 4 KiB.
    pub target_pages: u32,
    /// What it gave, in pages of 4 KiB.
    pub actual_pages: u32,
}

/// Why a balloon cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum BalloonError {
    /// The host gave no timer.
    #[error("failed to make the timer of the balloon's statistics")]
    Timer(#[source] io::Error),
    /// The loop that serves it has ended.
    #[error("failed to reach the event loop of the balloon")]
    Loop(#[from] LoopGone),
    /// It was made without statistics, or with them: that cannot change while the guest runs.
    #[error("statistics of the balloon cannot be turned on or off while the guest runs")]
    StatsFixed,
    /// It was made without statistics.
    #[error("the balloon has no statistics")]
    NoStats,
    /// It was made without hinting, or the guest did not agree to it.
    #[error("the balloon has no free-page hinting")]
    NoHinting,
}

/// A virtio memory balloon.
pub struct Balloon {
    config: BalloonConfig,
    registers: Arc<Registers>,
    metrics: Arc<BalloonMetrics>,
    handler: Remote<BalloonHandler>,
    active: Option<Activation>,
}

impl Balloon {
    /// A balloon served on `event_loop`.
    pub fn new(config: BalloonConfig, event_loop: &LoopHandle) -> Result<Self, BalloonError> {
        let registers = Arc::<Registers>::default();
        registers.target.store(config.target_pages, Ordering::Relaxed);
        let metrics = Arc::<BalloonMetrics>::default();
        let (shared, counted) = (Arc::clone(&registers), Arc::clone(&metrics));
        let handler = BalloonHandler::new(shared, counted, config.stats_interval)
            .map_err(BalloonError::Timer)?;
        let handler = event_loop.add(handler)?;
        Ok(Self { config, registers, metrics, handler, active: None })
    }

    /// Asks the guest for `pages` pages of 4 KiB in all.
    pub fn set_target(&mut self, pages: u32) {
        self.config.target_pages = pages;
        self.registers.target.store(pages, Ordering::Relaxed);
        if let Some(active) = &self.active {
            active.interrupt.config_changed();
        }
    }

    /// Where the balloon is.
    pub fn status(&self) -> BalloonStatus {
        BalloonStatus {
            target_pages: self.registers.target.load(Ordering::Relaxed),
            actual_pages: self.registers.actual.load(Ordering::Relaxed),
        }
    }

    /// What the balloon is made of, with the changes since.
    pub fn config(&self) -> BalloonConfig {
        self.config
    }

    /// What the guest said last about its memory.
    pub fn statistics(&self) -> Result<Statistics, BalloonError> {
        if self.config.stats_interval.is_zero() {
            return Err(BalloonError::NoStats);
        }
        Ok(self.handler.call(|handler, _| handler.statistics())?)
    }

    /// Sets the time between two reports.
    pub fn set_stats_interval(&mut self, interval: Duration) -> Result<(), BalloonError> {
        if self.config.stats_interval.is_zero() != interval.is_zero() {
            return Err(BalloonError::StatsFixed);
        }
        self.config.stats_interval = interval;
        Ok(self.handler.cast(move |handler, _| handler.set_interval(interval))?)
    }

    /// Asks the guest for what is free now. With `acknowledge_on_stop` it may use the pages again
    /// as soon as it has named them all, else after [`stop_hinting`](Self::stop_hinting).
    pub fn start_hinting(&self, acknowledge_on_stop: bool) -> Result<(), BalloonError> {
        self.check_hinting()?;
        Ok(self.handler.call(move |handler, _| handler.start_hinting(acknowledge_on_stop))?)
    }

    /// Ends a run of hinting.
    pub fn stop_hinting(&self) -> Result<(), BalloonError> {
        self.check_hinting()?;
        Ok(self.handler.call(|handler, _| handler.stop_hinting())?)
    }

    /// Where a run of hinting is.
    pub fn hinting(&self) -> Result<HintingStatus, BalloonError> {
        self.check_hinting()?;
        Ok(self.handler.call(|handler, _| handler.hinting())?)
    }

    fn check_hinting(&self) -> Result<(), BalloonError> {
        let agreed = self.active.as_ref().is_some_and(|a| a.has(F_FREE_PAGE_HINT));
        if agreed { Ok(()) } else { Err(BalloonError::NoHinting) }
    }

    /// What was counted.
    pub fn metrics(&self) -> &Arc<BalloonMetrics> {
        &self.metrics
    }
}

impl VirtioDevice for Balloon {
    fn device_type(&self) -> DeviceType {
        DeviceType::Balloon
    }

    fn features(&self) -> u64 {
        let bit = |on: bool, bit: u32| u64::from(on) << bit;
        // Without it, guests that initialize or poison free pages do not report them.
        let names_free_pages = self.config.free_page_hinting || self.config.free_page_reporting;
        bit(!self.config.stats_interval.is_zero(), F_STATS_VQ)
            | bit(self.config.deflate_on_oom, F_DEFLATE_ON_OOM)
            | bit(self.config.free_page_hinting, F_FREE_PAGE_HINT)
            | bit(self.config.free_page_reporting, F_REPORTING)
            | bit(names_free_pages, F_PAGE_POISON)
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(&self.registers.bytes(), offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        self.registers.write(offset, data);
    }

    fn activate(&mut self, activation: Activation) {
        self.active = Some(activation.clone());
        // If the loop has ended, starting the queues will tell.
        let _ = self.handler.cast(move |handler, _| handler.activate(activation));
    }

    fn start_queue(&mut self, queue: Queue) -> Result<(), StartQueueError> {
        self.handler.start_queue(queue)
    }

    fn stop_queue(&mut self, index: u16) -> Option<QueueState> {
        self.handler.stop_queue(index)
    }

    fn reset(&mut self) {
        self.active = None;
        self.registers.actual.store(0, Ordering::Relaxed);
        self.registers.hint_command.store(0, Ordering::Relaxed);
        self.registers.poison.store(0, Ordering::Relaxed);
        let _ = self.handler.cast(|handler, _| handler.reset());
    }
}
