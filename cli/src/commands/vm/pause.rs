//! `bulkhead vm pause` and `bulkhead vm resume`.

use std::process::ExitCode;

use crate::host::control::{self, Names};

pub(crate) const PAUSE_HELP: &str = "\
A paused machine keeps its memory and takes no processor time.

Example:
  bulkhead vm pause web db";

pub(crate) const RESUME_HELP: &str = "\
Example:
  bulkhead vm resume web db";

pub(crate) fn pause(names: &Names) -> anyhow::Result<ExitCode> {
    names.each(|folder| control::answer(folder, control::client(folder).pause()))
}

pub(crate) fn resume(names: &Names) -> anyhow::Result<ExitCode> {
    names.each(|folder| control::answer(folder, control::client(folder).resume()))
}
