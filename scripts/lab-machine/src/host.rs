//! On the host: the machine's start, saved state and end, and commands in it.

pub mod client;
pub mod console;
pub mod machine;
pub mod qemu;
pub mod qmp;
pub mod record;
