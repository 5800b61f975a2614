//! The bulkhead-vmm program: one process per virtual machine.

fn main() {}
