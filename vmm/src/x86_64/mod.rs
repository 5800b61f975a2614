//! The processor as a guest first sees it: identification, registers, page tables, LAPIC.

pub mod cpuid;
pub mod gdt;
pub mod lapic;
pub mod msrs;
pub mod paging;
pub mod registers;
