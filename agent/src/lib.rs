//! The guest agent: PID 1 of a microVM.
//!
//! It mounts what programs expect, loads the modules listed in `/etc/bulkhead/modules`, calls the
//! host over vsock, and then runs commands and answers questions for it, as `agent-protocol`
//! describes. One thread, one epoll: see [`server`]. What takes long or needs other namespaces
//! happens in forked children: see [`child`]. Containers are explained in [`container`].
//!
//! # Kernel command line
//!
//! Nothing is needed. Understood are:
//!
//! | option | default | meaning |
//! |---|---|---|
//! | `bulkhead.port=N` | 1024 | vsock port that the agent listens on |
//! | `bulkhead.ready_port=N` | 1024 | the host's vsock port that it calls when it is ready |
//! | `bulkhead.hostname=NAME` | `bulkhead` | the machine's name |
//! | `-- PROGRAM ARGS…` | | a command to run on the console; the machine powers off after it |
//!
//! A machine without vsock works too, with a command after `--`: its output is on the console,
//! followed by a line `bulkhead-agent: command ended with exit status N`.
//!
//! # The end
//!
//! When the host asks for it, on the ACPI power button, on `SIGTERM`, after the console's command,
//! and on Ctrl-Alt-Del (which reboots), file systems are written out and unmounted and the machine powers off or reboots. A panic is printed
//! on the console and reboots the machine.

mod archive;
mod child;
mod container;
mod failure;
mod init;
mod machine;
mod metrics;
mod network;
mod program;
mod reactor;
mod say;
mod server;
mod service;
mod session;

use std::process::ExitCode;

/// Runs as PID 1 of a machine, or as an ordinary program for trials. Returns the exit status.
#[must_use]
pub fn run() -> ExitCode {
    if rustix::process::getpid().is_init() {
        return init::run();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    service::run(&arguments)
}
