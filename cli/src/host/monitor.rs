//! The monitor's process, `bulkhead-vmm`.

use std::env;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use api::probe::Probe;
use vm_spec::MachineEnd;

use super::machines::MachineFolder;
use super::process::Process;
use super::record::ProcessId;

/// The program's name, beside this one or on the PATH.
const PROGRAM: &str = "bulkhead-vmm";
/// A monitor that only answers a question and has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the monitor's program is: `BULKHEAD_VMM`, else beside this program, else on the PATH.
pub(crate) fn program() -> PathBuf {
    if let Some(path) = env::var_os("BULKHEAD_VMM").filter(|p| !p.is_empty()) {
        return path.into();
    }
    let beside = env::current_exe().ok().and_then(|me| Some(me.parent()?.join(PROGRAM)));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PROGRAM.into())
}

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

/// The exit status for a monitor that a signal ended: that of no machine's end, and of no command
/// or program that ends by a signal.
const KILLED: u8 = 107;

/// What becomes of the machine's console.
pub(crate) enum Console {
    /// Its characters go through this socket.
    Attached(UnixStream),
    /// The monitor keeps the last of them.
    Kept,
}

/// How to start a monitor.
pub(crate) struct Launch<'a> {
    pub(crate) folder: &'a MachineFolder,
    pub(crate) console: Console,
    /// Whether the machine ends with this process.
    pub(crate) ends_with_us: bool,
    /// Further arguments.
    pub(crate) arguments: Vec<String>,
}

impl Launch<'_> {
    /// Starts the monitor on the folder's document.
    pub(crate) fn spawn(self) -> anyhow::Result<Child> {
        let program = program();
        let mut command = Command::new(&program);
        command
            .arg("--id")
            .arg(self.folder.name())
            .arg("--api-sock")
            .arg(self.folder.api_socket())
            .arg("--spec")
            .arg(self.folder.spec_file())
            .arg("--log-path")
            .arg(self.folder.log_file())
            .arg("--events-path")
            .arg(self.folder.events_file())
            .args(self.arguments)
            // Of its own, so that the terminal's ^C reaches this process only.
            .process_group(0);
        if self.ends_with_us {
            command.arg("--exit-with-parent");
        }
        match self.console {
            Console::Attached(socket) => {
                let output: OwnedFd = socket.try_clone()?.into();
                command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::from(output));
            }
            Console::Kept => {
                command.stdin(Stdio::null()).stdout(Stdio::null());
            }
        }
        // Not the terminal: that may be raw, or be gone.
        let errors = File::options()
            .create(true)
            .append(true)
            .open(self.folder.log_file())
            .context("failed to open the monitor's log")?;
        command.stderr(Stdio::from(errors));
        let child = command.spawn().with_context(|| {
            format!("failed to start {} (set BULKHEAD_VMM to its path)", program.display())
        })?;
        // One that has ended already is found out by whoever waits for it.
        if let Ok(monitor) = ProcessId::of(child.id()) {
            self.folder.set_monitor(monitor)?;
        }
        Ok(child)
    }
}

/// How a monitor's process ended: as its machine did, or by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// There was a machine.
    Machine(MachineEnd),
    /// There was none, or the monitor failed. The process's own exit status.
    Failed(u8),
    /// A signal ended the process.
    Killed(i32),
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        if let Some(signal) = status.signal() {
            return Self::Killed(signal);
        }
        let code = u8::try_from(status.code().unwrap_or(1)).unwrap_or(1);
        MachineEnd::from_exit_status(code).map_or(Self::Failed(code), Self::Machine)
    }
}

impl Ended {
    /// The exit status with which `bulkhead vm run` says so.
    pub(crate) fn exit_status(self) -> u8 {
        match self {
            Self::Machine(end) => end.exit_status(),
            Self::Failed(code) => code,
            Self::Killed(_) => KILLED,
        }
    }

    /// A sentence for the user, with the reason that the monitor's log gives.
    pub(crate) fn describe(self, log: &Path) -> String {
        let log = fs::read_to_string(log).unwrap_or_default();
        match self {
            Self::Machine(MachineEnd::Reboot | MachineEnd::PowerOff | MachineEnd::PowerButton) => {
                self.what()
            }
            _ => match reason(&log) {
                Some(reason) if !self.what().eq_ignore_ascii_case(reason) => {
                    format!("{}: {reason}", self.what())
                }
                _ => self.what(),
            },
        }
    }

    fn what(self) -> String {
        match self {
            Self::Machine(end) => format!("the guest {}", end.describe()),
            Self::Failed(_) => "the machine could not be made".to_owned(),
            Self::Killed(signal) => format!("the monitor was killed by signal {signal}"),
        }
    }
}

/// What the monitor said last: on standard error if it said anything there, else in its log, of
/// which each line begins with time and name.
pub(super) fn reason(log: &str) -> Option<&str> {
    let prefix = format!("{PROGRAM}: ");
    let said = log.lines().rev().find_map(|line| line.strip_prefix(&prefix));
    let logged = || log.lines().last().map(|l| l.split_once("] ").map_or(l, |(_, text)| text));
    said.or_else(logged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_tell_machine_ends_from_failures() {
        assert_eq!(Ended::from(ExitStatus::from_raw(0)), Ended::Machine(MachineEnd::PowerOff));
        assert_eq!(Ended::from(ExitStatus::from_raw(102 << 8)), Ended::Machine(MachineEnd::Panic));
        assert_eq!(Ended::from(ExitStatus::from_raw(1 << 8)), Ended::Failed(1));
        assert_eq!(Ended::from(ExitStatus::from_raw(9)).exit_status(), 107);
    }

    #[test]
    fn reason_is_what_the_monitor_said_last() {
        let log = "2026-11-23T05:00:00.0 [vm-1:main] first\nbulkhead-vmm: no such file\n";
        assert_eq!(reason(log), Some("no such file"));
        let log = "2026-11-23T05:00:00.0 [vm-1:main] first\n2026 [vm-1:main] Guest panicked\n";
        assert_eq!(reason(log), Some("Guest panicked"));
        assert_eq!(reason(""), None);
    }
}
