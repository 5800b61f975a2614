//! Ports: where cards are plugged in.

use std::net::IpAddr;
use std::time::Instant;

use crate::control::{self, Counters};
use crate::frame::neighbor::link_local;

/// A port's number, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PortId(pub(crate) u64);

/// A port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) spec: control::Port,
    pub(crate) card: Option<u64>,
    pub(crate) counters: Counters,
    pub(crate) floods: Allowance,
    /// TCP connections, UDP associations, echoes and questions at this time.
    pub(crate) flows: usize,
    /// Those among them that came by publications.
    pub(crate) published: usize,
}

/// What a port may have at a time, of all kinds together: connections, associations, questions.
pub(crate) const MAX_FLOWS: usize = 4_096;
/// And those that come by publications: the rest is the guest's own, whatever the world sends.
pub(crate) const MAX_PUBLISHED: usize = MAX_FLOWS / 4 * 3;
/// With fewer than these, a connection gets large buffers.
pub(crate) const FEW_FLOWS: usize = 32;

impl Port {
    pub(crate) fn new(spec: control::Port, now: Instant) -> Self {
        let counters = Counters::default();
        let floods = Allowance::new(now);
        Self { spec, card: None, counters, floods, flows: 0, published: 0 }
    }

    /// Whether its card may send from `address`.
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        self.spec.addresses.contains(&address) || address == IpAddr::V6(link_local(self.spec.mac))
    }

    /// Its first address of the family of `like`.
    pub(crate) fn address_like(&self, like: IpAddr) -> Option<IpAddr> {
        self.spec.addresses.iter().copied().find(|own| own.is_ipv4() == like.is_ipv4())
    }
}

/// Frames to many that a port may send: some at once, and then so many a second.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: u32,
    filled: Instant,
}

impl Allowance {
    const AT_ONCE: u32 = 256;
    const A_SECOND: u128 = 500;

    fn new(now: Instant) -> Self {
        Self { left: Self::AT_ONCE, filled: now }
    }

    /// Whether one more is allowed.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_micros();
        let more = passed * Self::A_SECOND / 1_000_000;
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(more).min(Self::AT_ONCE);
            self.filled = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn allowance_ends_and_comes_back_with_time() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        assert_eq!((0..1000).filter(|_| allowance.take(now)).count(), 256);
        let later = now + Duration::from_millis(100);
        assert_eq!((0..1000).filter(|_| allowance.take(later)).count(), 50);
        let much_later = now + Duration::from_secs(3_600);
        assert_eq!((0..1000).filter(|_| allowance.take(much_later)).count(), 256);
    }
}
