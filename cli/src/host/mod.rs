//! What commands share of the host.

pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod exec;
pub(crate) mod machines;
pub(crate) mod monitor;
pub(crate) mod pump;
pub(crate) mod signals;
pub(crate) mod state;
pub(crate) mod terminal;
