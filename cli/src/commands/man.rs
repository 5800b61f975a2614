//! `bulkhead man`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

pub(crate) const HELP: &str = "\
Example:
  bulkhead man ~/.local/share/man/man1 && man bulkhead-vm-run";

/// Where to.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder to write them to; it is made if it is missing
    dir: PathBuf,
}

pub(crate) fn run<C: CommandFactory>(args: &Args) -> anyhow::Result<ExitCode> {
    let failed = || format!("failed to write manual pages to {}", args.dir.display());
    fs::create_dir_all(&args.dir).with_context(failed)?;
    clap_mangen::generate_to(C::command(), &args.dir).with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}
