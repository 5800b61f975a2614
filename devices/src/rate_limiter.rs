//! Rate limits: token buckets for bytes and requests, as Firecracker's API describes them.
//!
//! The arithmetic is exact (no tokens are lost to rounding) and the clock is passed in, so that
//! all of it is tested without waiting.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// What a bucket is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketConfig {
    /// Tokens that the bucket holds.
    pub size: u64,
    /// Milliseconds in which an empty bucket becomes full.
    pub refill_time_ms: u64,
    /// Tokens beyond `size` that can be spent once, before any of `size` are.
    pub one_time_burst: u64,
}

/// What a limiter is made of. A bucket that is absent, or has size or refill time zero, limits
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimiterConfig {
    /// Tokens are bytes.
    pub bandwidth: Option<BucketConfig>,
    /// Tokens are requests.
    pub ops: Option<BucketConfig>,
}

/// A change of a limiter's buckets while it is in use. A bucket that is `None` stays as it is; one
/// that is given replaces the old one, and starts full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimiterUpdate {
    /// Tokens are bytes.
    pub bandwidth: Option<BucketConfig>,
    /// Tokens are requests.
    pub ops: Option<BucketConfig>,
}

/// There are too few tokens; there will be enough after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// A token bucket.
///
/// A request for more tokens than the bucket holds is served when the bucket is full, and leaves
/// it in debt: so it is delayed rather than refused for ever, and the average rate is kept.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    size: u64,
    refill_ns: u64,
    burst: u64,
    /// Tokens times `refill_ns`: in these units each nanosecond adds `size`, exactly.
    level: i128,
    updated: Instant,
}

impl TokenBucket {
    /// A full bucket; `None` if the configuration limits nothing.
    pub fn new(config: BucketConfig, now: Instant) -> Option<Self> {
        if config.size == 0 || config.refill_time_ms == 0 {
            return None;
        }
        // 292 years are enough, and then no product below can overflow 128 bits.
        let refill_ns = config.refill_time_ms.saturating_mul(1_000_000).min(i64::MAX as u64);
        let size = config.size.min(i64::MAX as u64);
        let level = i128::from(size) * i128::from(refill_ns);
        Some(Self { size, refill_ns, burst: config.one_time_burst, level, updated: now })
    }

    fn units(&self, tokens: u64) -> i128 {
        i128::from(tokens) * i128::from(self.refill_ns)
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_nanos();
        let elapsed = i128::try_from(elapsed).unwrap_or(i128::MAX).min(i128::from(i64::MAX));
        self.level = self.units(self.size).min(self.level + elapsed * i128::from(self.size));
        self.updated = self.updated.max(now);
    }

    /// How long until `tokens` can be taken; zero if now.
    fn wait(&mut self, tokens: u64, now: Instant) -> Duration {
        self.refill(now);
        let needed = tokens.saturating_sub(self.burst).min(self.size);
        let missing = self.units(needed) - self.level;
        if missing <= 0 || needed == 0 {
            return Duration::ZERO;
        }
        let per_ns = i128::from(self.size);
        let ns = (missing + per_ns - 1) / per_ns;
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    fn take(&mut self, tokens: u64) {
        let from_burst = tokens.min(self.burst);
        self.burst -= from_burst;
        let debt = self.level - self.units(tokens - from_burst);
        // A debt is bounded so that it cannot add up to an overflow: a single request is never
        // served from below zero.
        self.level = debt.max(i128::MIN / 4);
    }

    /// Takes `tokens`, or says when to come back.
    pub fn consume(&mut self, tokens: u64, now: Instant) -> Result<(), Wait> {
        match self.wait(tokens, now) {
            Duration::ZERO => {
                self.take(tokens);
                Ok(())
            }
            wait => Err(Wait(wait)),
        }
    }
}

/// A pair of buckets; both must have tokens for a request.
#[derive(Debug, Clone, Default)]
pub struct RateLimiter {
    bandwidth: Option<TokenBucket>,
    ops: Option<TokenBucket>,
}

impl RateLimiter {
    /// A limiter with full buckets.
    pub fn new(config: LimiterConfig, now: Instant) -> Self {
        Self {
            bandwidth: config.bandwidth.and_then(|b| TokenBucket::new(b, now)),
            ops: config.ops.and_then(|b| TokenBucket::new(b, now)),
        }
    }

    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        self.bandwidth.is_none() && self.ops.is_none()
    }

    /// Takes tokens for `ops` requests of `bytes` bytes together, or takes none and says when to
    /// come back.
    pub fn consume(&mut self, ops: u64, bytes: u64, now: Instant) -> Result<(), Wait> {
        let wait_of = |bucket: &mut Option<TokenBucket>, tokens| {
            bucket.as_mut().map_or(Duration::ZERO, |b| b.wait(tokens, now))
        };
        match wait_of(&mut self.ops, ops).max(wait_of(&mut self.bandwidth, bytes)) {
            Duration::ZERO => {}
            wait => return Err(Wait(wait)),
        }
        if let Some(bucket) = &mut self.ops {
            bucket.take(ops);
        }
        if let Some(bucket) = &mut self.bandwidth {
            bucket.take(bytes);
        }
        Ok(())
    }

    /// Replaces buckets.
    pub fn update(&mut self, update: LimiterUpdate, now: Instant) {
        if let Some(bandwidth) = update.bandwidth {
            self.bandwidth = TokenBucket::new(bandwidth, now);
        }
        if let Some(ops) = update.ops {
            self.ops = TokenBucket::new(ops, now);
        }
    }
}

/// A limiter that the queues of one device share. Costs one relaxed load where nothing is limited.
#[derive(Debug, Default)]
pub struct SharedLimiter {
    limited: AtomicBool,
    limiter: Mutex<RateLimiter>,
}

impl SharedLimiter {
    /// A limiter with full buckets.
    pub fn new(config: LimiterConfig) -> Self {
        let limiter = RateLimiter::new(config, Instant::now());
        Self { limited: AtomicBool::new(!limiter.is_unlimited()), limiter: Mutex::new(limiter) }
    }

    /// See [`RateLimiter::consume`]. The clock is read only where something is limited.
    pub fn consume(&self, ops: u64, bytes: u64) -> Result<(), Wait> {
        if !self.limited.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.lock().consume(ops, bytes, Instant::now())
    }

    /// See [`RateLimiter::update`]. Whoever waits should try again.
    pub fn update(&self, update: LimiterUpdate) {
        let mut limiter = self.lock();
        limiter.update(update, Instant::now());
        self.limited.store(!limiter.is_unlimited(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, RateLimiter> {
        // Plain numbers: there is no state that a panic could leave half-made.
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A one-shot timer as a file descriptor, for a handler to watch for reading.
#[derive(Debug)]
pub struct LimitTimer(OwnedFd);

impl LimitTimer {
    /// A timer that is not armed.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Makes the descriptor readable once, after `wait` from now. An earlier setting is dropped.
    pub fn arm(&self, wait: Wait) -> io::Result<()> {
        // Zero would disarm it.
        let wait = wait.0.max(Duration::from_nanos(1));
        let value = Timespec::try_from(wait).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.set(value)
    }

    /// Makes the descriptor unreadable, whether the timer has expired or not.
    pub fn disarm(&self) -> io::Result<()> {
        self.set(Timespec::default())
    }

    fn set(&self, it_value: Timespec) -> io::Result<()> {
        let setting = Itimerspec { it_interval: Timespec::default(), it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }
}

impl AsRawFd for LimitTimer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
