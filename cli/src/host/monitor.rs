//! What the monitor's program, `bulkhead-vmm`, says of itself and this host.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use api::probe::Probe;
use launch::{Process, program};

/// A monitor that only answers a question and has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// The first line of what the monitor says for `--version`.
pub(crate) fn version() -> anyhow::Result<String> {
    let version = ask("--version")?;
    Ok(version.lines().next().unwrap_or_default().to_owned())
}

/// What the monitor sees of KVM.
pub(crate) fn probe() -> anyhow::Result<Probe> {
    serde_json::from_str(&ask("--probe")?).context("it answers otherwise than expected")
}

/// What the monitor's program prints for `option`, and ends.
fn ask(option: &str) -> anyhow::Result<String> {
    let program = program();
    let mut command = Command::new(&program);
    command.arg(option).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = || format!("{} does not run", program.display());
    let child = command.spawn().with_context(failed)?;
    let process = Process::open(child.id()).with_context(failed)?;
    let late = !process.wait(PATIENCE).with_context(failed)?;
    if late {
        process.kill();
    }
    // Little enough for a pipe to hold.
    let output = child.wait_with_output().with_context(failed)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(!late, "{} {option} did not end within {PATIENCE:?}", program.display());
    let status = output.status;
    ensure!(status.success(), "{} {option}: {status}: {}", program.display(), errors.trim());
    String::from_utf8(output.stdout).with_context(failed)
}
