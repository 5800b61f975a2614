//! What commands share of the host.

pub(crate) mod exec;
pub(crate) mod machines;
pub(crate) mod monitor;
pub(crate) mod pump;
pub(crate) mod signals;
pub(crate) mod terminal;
