//! The entry point of the guest agent.
//!
//! It is ours, because the standard library's aborts where the kernel has opened no standard
//! descriptors and there is no `/dev/null` yet: a machine without a console.

#![no_main]
// For the entry point's name.
#![allow(unsafe_code)]

use std::{
    ffi::{c_char, c_int},
    process::ExitCode,
};

// SAFETY: this is the one `main` of the program, with C's signature.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    c_int::from(bulkhead_agent::run() != ExitCode::SUCCESS)
}
