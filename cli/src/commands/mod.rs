//! One module per command, or per group of them.

pub(crate) mod completions;
pub(crate) mod container;
pub(crate) mod doctor;
pub(crate) mod image;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod network;
pub(crate) mod pod;
pub(crate) mod system;
pub(crate) mod vm;
pub(crate) mod volume;
