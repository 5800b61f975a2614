//! One module per command.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod vm;
