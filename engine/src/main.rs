//! The engine as a program: `bulkhead-engine`.
//!
//! It takes its folders and its socket, finds the machines again that an earlier engine left, and
//! serves Docker's API until it is told to end. Machines stay.

mod program;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Exit status of an engine that could not serve.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let args = program::Args::parse();
    match program::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; then nobody can be told.
            let _ = writeln!(std::io::stderr(), "bulkhead-engine: {error:#}");
            FAILED.into()
        }
    }
}
