//! `bulkhead-vmm` as a process: its API, its command line, and what users may do wrong with both.
//! Guests are a few instructions, so any `/dev/kvm` will do.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod api_errors;
mod api_order;
mod api_socket;
mod command_lines;
mod confinement;
mod cpu_config;
mod disks;
mod documents;
mod harness;
mod http;
mod kernels;
mod kvm;
mod metrics;
mod probe;
