//! Which processes a machine belongs to, written down in its folder.

use serde::{Deserialize, Serialize};

use crate::ProcessId;

/// Who looks after a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The process that made the folder. It removes the folder if the machine does not come up,
    /// and at the end of one in the foreground.
    pub owner: ProcessId,
    /// Runs the machine, once it was started.
    pub monitor: Option<ProcessId>,
    /// Whether the machine outlives its owner.
    pub detached: bool,
}

/// What a machine's processes say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
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
    /// What they say now.
    #[must_use]
    pub fn life(&self) -> Life {
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
}
