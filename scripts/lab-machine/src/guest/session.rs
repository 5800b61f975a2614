//! The inner half of a session: a process that becomes the command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::thread::UnshareFlags;

use super::root;

/// Exit status when the session itself cannot be made.
pub const EXIT_CANNOT_RUN: u8 = 126;

/// Joins `cgroup`, takes namespaces of its own, builds the session's root and
/// becomes the command. Returns only on failure.
pub fn enter_and_run(
    cgroup: &Path,
    directory: &Path,
    argv: &[OsString],
) -> Result<std::convert::Infallible> {
    let Some((program, arguments)) = argv.split_first() else {
        bail!("No command given");
    };
    fs::write(cgroup.join("cgroup.procs"), "0").context("Failed to join the session's cgroup")?;
    rustix::process::setsid().context("Failed to start a process session")?;
    take_namespaces()?;
    loopback_up()?;
    root::build_and_enter()?;
    std::env::set_current_dir(directory)
        .with_context(|| format!("Failed to enter {}", directory.display()))?;
    let error = Command::new(program).args(arguments).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        report_missing(program);
    }
    Err(error).with_context(|| format!("Failed to run {}", program.display()))
}

#[allow(unsafe_code)]
fn take_namespaces() -> Result<()> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    // SAFETY: the flags leave the file-descriptor table shared with nobody but
    // this single-threaded process; no I/O-safety rule is touched.
    unsafe { rustix::thread::unshare_unsafe(flags) }.context("Failed to take namespaces")
}

fn loopback_up() -> Result<()> {
    let status = Command::new("/bin/busybox")
        .args(["ip", "link", "set", "lo", "up"])
        .status()
        .context("Failed to run ip")?;
    if !status.success() {
        bail!("Failed to bring the session's loopback interface up: {status}");
    }
    Ok(())
}

/// Shells answer 127 for a command that does not exist; so does the lab.
fn report_missing(program: &OsStr) -> ! {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "lab: {}: command not found", program.display());
    std::process::exit(127)
}
