//! Tests that run in namespaces of their own, where what they do to the host ends with them.

use std::env;
use std::process::Command;

use anyhow::{Context, ensure};

/// Runs the ignored test `body` of this program in new namespaces of these kinds (`--net`,
/// `--mount`), after the shell's command `setup`, which has `argument` as `$1`.
///
/// # Errors
///
/// It did not pass; what it said is in the message.
pub fn run_in_namespaces(
    kinds: &[&str],
    (setup, argument): (&str, &str),
    body: &str,
) -> anyhow::Result<()> {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let output = command
        .args(kinds)
        .args(["sh", "-c", &format!(r#"{setup} && shift && exec "$@""#), "sh", argument])
        .arg(env::current_exe()?)
        .args(["--ignored", "--exact", body, "--nocapture"])
        .output()
        .context("run unshare, of util-linux")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && text.contains("1 passed"), "{text}{error}");
    Ok(())
}
