//! `bulkhead vm kill`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;

use crate::host::control::{self, Names};
use crate::host::machines::MachineFolder;
use launch::Process;

pub(crate) const HELP: &str = "\
The guest is not asked: what it has not written to its disks is lost. To have it power off:
bulkhead vm stop

Example:
  bulkhead vm kill web";

/// How long a monitor may take to end its machine, and the system to end a killed monitor.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn run(names: &Names) -> anyhow::Result<ExitCode> {
    names.each(|folder| match Process::of(folder.monitor()?)? {
        Some(process) => end(folder, &process),
        None => Ok(()),
    })
}

/// Ends a machine at once: by its monitor, which leaves things tidy, or with its monitor.
pub(super) fn end(folder: &MachineFolder, process: &Process) -> anyhow::Result<()> {
    let asked = control::client(folder).with_timeout(PATIENCE).stop();
    if asked.is_ok() && process.wait(PATIENCE)? {
        return Ok(());
    }
    process.kill();
    if !process.wait(PATIENCE)? {
        bail!("{}: the system does not let its monitor end; see: dmesg", folder.name());
    }
    Ok(())
}
