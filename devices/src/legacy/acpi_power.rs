//! Power off, reset, power button and VM generation ID, as a hardware-reduced ACPI machine has
//! them (ACPI 6.5, sections 4.8.3.7 and 5.6.9).
//!
//! ```text
//! +0 sleep control (write)   +1 sleep status   +2 reset (write 1)   +4 pending events (read clears)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use log::error;

use super::request::{GuestRequest, GuestRequests};
use crate::bus::BusDevice;
use crate::interrupt::IrqLine;

/// Number of ports.
pub const PORTS: u64 = 8;
/// Offset of the sleep control register.
pub const SLEEP_CONTROL: u64 = 0;
/// Offset of the sleep status register.
pub const SLEEP_STATUS: u64 = 1;
/// Offset of the reset register.
pub const RESET: u64 = 2;
/// Offset of the events register, 4 bytes.
pub const EVENTS: u64 = 4;
/// What is written to the reset register.
pub const RESET_VALUE: u8 = 1;
/// SLP_TYP that means S5, here.
pub const SLEEP_TYPE_S5: u8 = 5;
/// Sleep control: enter the state.
const SLEEP_ENABLE: u8 = 1 << 5;

/// What the machine tells the guest by the generic event device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum PowerEvent {
    /// The power button was pressed.
    PowerButton = 1 << 0,
    /// The VM generation ID has changed.
    GenerationChanged = 1 << 1,
}

/// The registers.
pub struct AcpiPower {
    events: AtomicU32,
    line: Arc<dyn IrqLine>,
    requests: Arc<dyn GuestRequests>,
}

impl AcpiPower {
    /// Registers that announce events on `line` and pass requests on to `requests`.
    pub fn new(line: Arc<dyn IrqLine>, requests: Arc<dyn GuestRequests>) -> Self {
        Self { events: AtomicU32::new(0), line, requests }
    }

    /// Tells the guest of `event`.
    pub fn announce(&self, event: PowerEvent) {
        self.events.fetch_or(event as u32, Ordering::AcqRel);
        if let Err(e) = self.line.trigger() {
            error!("failed to announce {event:?} to the guest: {e}");
        }
    }
}

impl BusDevice for AcpiPower {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let (EVENTS, [a, b, c, d]) = (offset, data) {
            [*a, *b, *c, *d] = self.events.swap(0, Ordering::AcqRel).to_le_bytes();
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let [value] = *data else { return };
        match offset {
            SLEEP_CONTROL if value & SLEEP_ENABLE != 0 && value >> 2 & 7 == SLEEP_TYPE_S5 => {
                self.requests.request(GuestRequest::PowerOff);
            }
            RESET if value == RESET_VALUE => self.requests.request(GuestRequest::Reset),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Edges, Requests};
    use super::*;

    fn power() -> (AcpiPower, Arc<Edges>, Arc<Requests>) {
        let (line, requests) = (Arc::<Edges>::default(), Arc::<Requests>::default());
        (AcpiPower::new(line.clone(), requests.clone()), line, requests)
    }

    #[test]
    fn entering_s5_powers_off_and_other_states_do_nothing() {
        let (power, _, requests) = power();
        power.write(SLEEP_CONTROL, &[SLEEP_TYPE_S5 << 2]);
        power.write(SLEEP_CONTROL, &[1 << 2 | SLEEP_ENABLE]);
        assert!(requests.taken().is_empty());
        power.write(SLEEP_CONTROL, &[SLEEP_TYPE_S5 << 2 | SLEEP_ENABLE]);
        assert_eq!(requests.taken(), [GuestRequest::PowerOff]);
    }

    #[test]
    fn reset_register_restarts() {
        let (power, _, requests) = power();
        power.write(RESET, &[RESET_VALUE]);
        assert_eq!(requests.taken(), [GuestRequest::Reset]);
    }

    #[test]
    fn event_is_announced_and_read_once() {
        let (power, line, _) = power();
        power.announce(PowerEvent::PowerButton);
        power.announce(PowerEvent::GenerationChanged);
        let mut data = [0; 4];
        power.read(EVENTS, &mut data);
        assert_eq!((data, line.count()), ([3, 0, 0, 0], 2));
        power.read(EVENTS, &mut data);
        assert_eq!(data, [0; 4]);
    }
}
