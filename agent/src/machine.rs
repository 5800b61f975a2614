//! What PID 1 owes the machine: mounts, modules, console, clock, and its end.

pub(crate) mod clock;
pub(crate) mod command_line;
pub(crate) mod console;
pub(crate) mod modules;
pub(crate) mod mounts;
pub(crate) mod power;
pub(crate) mod power_button;
pub(crate) mod root;
