//! The few devices of a PC that a kernel expects at fixed ports, and the ports of our own that
//! ACPI tells it of. State machines without threads; what they ask of the machine goes through
//! [`GuestRequests`].

pub mod acpi_power;
pub mod boot_timer;
pub mod i8042;
pub mod pvpanic;
pub mod request;
pub mod serial;
pub mod serial_input;
#[cfg(test)]
mod testing;

pub use acpi_power::{AcpiPower, PowerEvent};
pub use boot_timer::BootTimer;
pub use i8042::I8042;
pub use pvpanic::Pvpanic;
pub use request::{GuestRequest, GuestRequests};
pub use serial::SerialPort;
pub use serial_input::SerialInput;
