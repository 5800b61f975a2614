//! The pvpanic device: a kernel says that it panicked (QEMU, docs/specs/pvpanic).

use std::sync::Arc;

use super::request::{GuestRequest, GuestRequests};
use crate::bus::BusDevice;

/// Its only port.
pub const PORT: u64 = 0x505;
/// The guest panicked; a crash kernel may follow.
const PANICKED: u8 = 1 << 0;
/// The guest panicked and loads a crash kernel.
const CRASH_LOADED: u8 = 1 << 1;

/// The device.
pub struct Pvpanic(Arc<dyn GuestRequests>);

impl Pvpanic {
    /// A device that passes panics on to `requests`.
    pub fn new(requests: Arc<dyn GuestRequests>) -> Self {
        Self(requests)
    }
}

impl BusDevice for Pvpanic {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(first) = data.first_mut() {
            *first = PANICKED | CRASH_LOADED;
        }
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        if data.first().is_some_and(|events| events & (PANICKED | CRASH_LOADED) != 0) {
            self.0.request(GuestRequest::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Requests;
    use super::*;

    #[test]
    fn panic_is_passed_on() {
        let requests = Arc::<Requests>::default();
        let device = Pvpanic::new(requests.clone());
        device.write(0, &[0x80]);
        device.write(0, &[PANICKED]);
        assert_eq!(requests.taken(), [GuestRequest::Panicked]);
    }
}
