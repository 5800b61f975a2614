//! Which processes a machine belongs to, written down in its folder.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// A process, and no other that has its number at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    /// When it started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, started: start_time(pid)? })
    }

    /// This process.
    pub(crate) fn own() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// Whether that very process still runs.
    pub(crate) fn is_alive(self) -> bool {
        start_time(self.pid).is_ok_and(|started| started == self.started)
    }
}

/// Field 22 of `/proc/PID/stat`, of a process that has not ended.
fn start_time(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name, may hold anything; it ends at the last parenthesis.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    match (fields.first(), fields.get(19).map(|f| f.parse())) {
        (Some(&"Z" | &"X"), _) => Err(io::ErrorKind::NotFound.into()),
        (Some(_), Some(Ok(started))) => Ok(started),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Who looks after a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The `bulkhead vm run` that made the folder. It removes the folder if the machine does not
    /// come up, and at the end of one in the foreground.
    pub(crate) owner: ProcessId,
    /// Runs the machine, once it was started.
    pub(crate) monitor: Option<ProcessId>,
    /// Whether the machine outlives its owner.
    pub(crate) detached: bool,
}

/// What a machine's processes say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It has a monitor.
    Running(ProcessId),
    /// It has no monitor yet, or no more, and its owner is about to see to it.
    Owned,
    /// It ran in the background and has ended: what is left is for the user to look at.
    Ended,
    /// Nobody looks after it or wants to know of it.
    Stale,
}

impl Record {
    pub(crate) fn life(&self) -> Life {
        match self.monitor {
            Some(monitor) if monitor.is_alive() => Life::Running(monitor),
            _ if self.owner.is_alive() => Life::Owned,
            Some(_) if self.detached => Life::Ended,
            _ => Life::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead() -> ProcessId {
        ProcessId { started: 1, ..ProcessId::own().unwrap() }
    }

    #[test]
    fn machine_runs_while_its_monitor_does_whoever_started_it() {
        let monitor = ProcessId::own().unwrap();
        let record = Record { owner: dead(), monitor: Some(monitor), detached: true };
        assert_eq!(record.life(), Life::Running(monitor));
    }

    #[test]
    fn only_a_machine_in_the_background_is_kept_after_its_end() {
        let record = Record { owner: dead(), monitor: Some(dead()), detached: true };
        assert_eq!(record.life(), Life::Ended);
        assert_eq!(Record { detached: false, ..record }.life(), Life::Stale);
        assert_eq!(Record { monitor: None, ..record }.life(), Life::Stale);
    }

    #[test]
    fn machine_without_monitor_is_left_to_its_owner() {
        let owner = ProcessId::own().unwrap();
        let record = Record { owner, monitor: Some(dead()), detached: false };
        assert_eq!(record.life(), Life::Owned);
        assert_eq!(Record { monitor: None, detached: true, ..record }.life(), Life::Owned);
    }

    #[test]
    fn ended_child_is_not_alive_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = ProcessId::of(child.id());
        child.wait().unwrap();
        assert!(!process.is_ok_and(ProcessId::is_alive));
    }
}
