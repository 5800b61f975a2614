//! What the machine needs of its board.

use devices::bus::Bus;

/// A complete board.
pub struct Board {
    /// Devices at I/O ports.
    pub ports: Bus,
    /// Devices at memory addresses.
    pub mmio: Bus,
    /// The devices as a whole.
    pub devices: Box<dyn Devices>,
}

/// The devices of a machine, as far as its life cycle concerns them.
pub trait Devices: Send {
    /// Stops all queues. The vCPUs are paused already.
    fn pause(&mut self);

    /// Starts the queues again. The vCPUs are still paused.
    fn resume(&mut self);

    /// Presses the power button.
    fn press_power_button(&self);

    /// Types Ctrl-Alt-Del.
    fn press_ctrl_alt_del(&self);
}
