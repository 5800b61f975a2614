//! One KVM virtual machine: memory, vCPUs, board, boot, event loop and life cycle.

pub mod acpi;
pub mod boot;
pub mod kvm;
pub mod memory;
pub mod x86_64;
