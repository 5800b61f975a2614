//! The lab is a machine emulated in software (QEMU's TCG with SVM), so that its
//! Linux has a complete `/dev/kvm` whatever the host's own can do.
//!
//! ```text
//!  host                                     lab
//!  lab-host exec CMD ──TCP on loopback───►  lab-guest (started by init)
//!                     frames of [`wire`]      └─ session: own mounts, network,
//!                                                cgroup; the host's root file
//!                                                system, read-only, under a tmpfs
//! ```
//!
//! * [`host`]: starts and ends the machine, saves its state, runs commands in it.
//! * [`guest`]: the server in the machine, and the sessions it makes.
//! * [`wire`]: what they say to each other.

#![deny(unsafe_code)]

pub mod guest;
pub mod host;
pub mod wire;
