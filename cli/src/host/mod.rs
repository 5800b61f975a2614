//! What commands share of the host.

pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod end_record;
pub(crate) mod exec;
pub(crate) mod machines;
pub(crate) mod monitor;
pub(crate) mod process;
pub(crate) mod pump;
pub(crate) mod record;
pub(crate) mod signals;
pub(crate) mod state;
pub(crate) mod terminal;
