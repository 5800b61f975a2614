//! How a monitor's process ended.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use vm_spec::MachineEnd;

use crate::start::PROGRAM;

/// The exit status for a monitor that a signal ended: that of no machine's end, and of no command
/// or program that ends by a signal.
const KILLED: u8 = 107;

/// How a monitor's process ended: as its machine did, or by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
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
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Machine(end) => end.exit_status(),
            Self::Failed(code) => code,
            Self::Killed(_) => KILLED,
        }
    }

    /// A sentence for the user, with the reason that the monitor's log gives.
    #[must_use]
    pub fn describe(self, log: &Path) -> String {
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
#[must_use]
pub fn reason(log: &str) -> Option<&str> {
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
