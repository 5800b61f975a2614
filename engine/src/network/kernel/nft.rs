//! nft(8), the program that changes the kernel's rules in one step.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use super::KernelError;

/// The program: in its package's folder, which is not always on the PATH.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Puts a script in force, all of it or nothing. Blocks.
pub(super) fn run(script: &str) -> Result<(), KernelError> {
    let mut child = spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KernelError::NoNft,
        _ => KernelError::Nft(error),
    })?;
    if let Some(mut input) = child.stdin.take() {
        // One that ended early says why.
        let _ = input.write_all(script.as_bytes());
    }
    let output = child.wait_with_output().map_err(KernelError::Nft)?;
    if output.status.success() {
        return Ok(());
    }
    log::debug!("nft refused this:\n{script}");
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().find(|line| line.contains("rror")).unwrap_or_default();
    Err(KernelError::Rules(said.to_owned()))
}

fn spawn() -> io::Result<std::process::Child> {
    let mut missing = None;
    for program in PROGRAMS {
        let mut command = Command::new(program);
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
        match command.stderr(Stdio::piped()).spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing = Some(error),
            spawned => return spawned,
        }
    }
    Err(missing.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}
