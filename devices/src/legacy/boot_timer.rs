//! The boot timer: a guest writes 123 to a port when its user space is up, and the monitor logs
//! how long that took (Firecracker's `--boot-timer`).

use crate::bus::BusDevice;

/// Its only port.
pub const PORT: u64 = 0x3f0;
/// What the guest writes.
const BOOTED: u8 = 123;

/// The device.
pub struct BootTimer(Box<dyn Fn() + Send + Sync>);

impl BootTimer {
    /// A device that calls `booted` whenever the guest says that it is up.
    pub fn new(booted: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(booted))
    }
}

impl BusDevice for BootTimer {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        if *data == [BOOTED] {
            (self.0)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn only_the_magic_value_counts() {
        let calls = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&calls);
        let timer = BootTimer::new(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        timer.write(0, &[122]);
        timer.write(0, &[BOOTED, 0]);
        timer.write(0, &[BOOTED]);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
