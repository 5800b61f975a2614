//! Inside the lab: the server, and the sessions it makes for commands.

pub mod cgroup;
pub mod idle;
pub mod root;
pub mod server;
pub mod session;
