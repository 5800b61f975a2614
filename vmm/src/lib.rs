//! One KVM virtual machine: memory, vCPUs, board, boot, event loop and life cycle.

pub mod acpi;
pub mod board;
pub mod boot;
pub mod kvm;
pub mod machine;
pub mod memory;
pub mod vcpu;
pub mod x86_64;
