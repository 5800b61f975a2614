//! How a machine ended that is not there any more to be asked.

use std::fs;

use api::vm::Event;
use serde::Serialize;
use vm_spec::MachineEnd;

use crate::{Folder, reason};

/// The end of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndRecord {
    /// When, in milliseconds since 1970; `None` if the monitor could not say.
    pub time_ms: Option<u64>,
    /// `None` if it was not the machine that ended but its monitor: killed, or by a fault.
    pub end: Option<MachineEnd>,
    /// The monitor's exit status, unless it was killed.
    pub status: Option<u8>,
    /// The monitor's last word, for people.
    pub message: String,
}

impl EndRecord {
    /// The end that the monitor recorded, or else what its log gives away.
    #[must_use]
    pub fn of(folder: &Folder) -> Self {
        events(folder).into_iter().rev().find_map(Self::from_event).unwrap_or_else(|| {
            let log = fs::read_to_string(folder.log_file()).unwrap_or_default();
            let last = reason(&log).map(|reason| format!("; it said last: {reason}"));
            let message = format!("The monitor was killed or failed{}", last.unwrap_or_default());
            Self { time_ms: None, end: None, status: None, message }
        })
    }

    fn from_event(event: Event) -> Option<Self> {
        let data = (event.event == "exited").then_some(event.data)?;
        Some(Self {
            time_ms: Some(event.time_ms),
            end: serde_json::from_value(data.get("end")?.clone()).ok(),
            status: data.get("status")?.as_u64()?.try_into().ok(),
            message: data.get("message")?.as_str()?.to_owned(),
        })
    }
}

/// What the monitor has recorded of what happened.
#[must_use]
pub fn events(folder: &Folder) -> Vec<Event> {
    let text = fs::read_to_string(folder.events_file()).unwrap_or_default();
    // A monitor that was killed may have left part of a line.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(events: &str, log: &str) -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new("one", root.path());
        fs::write(folder.events_file(), events).unwrap();
        fs::write(folder.log_file(), log).unwrap();
        (root, folder)
    }

    #[test]
    fn end_is_what_the_monitor_recorded() {
        let (_root, folder) = folder(
            "{\"id\":1,\"time_ms\":3,\"event\":\"started\",\"data\":{}}\n\
             {\"id\":2,\"time_ms\":5,\"event\":\"exited\",\
              \"data\":{\"end\":\"panic\",\"status\":102,\"message\":\"Oh\"}}\n",
            "",
        );
        let (end, message) = (Some(MachineEnd::Panic), "Oh".to_owned());
        let expected = EndRecord { time_ms: Some(5), end, status: Some(102), message };
        assert_eq!(EndRecord::of(&folder), expected);
        assert_eq!(events(&folder).len(), 2);
    }

    #[test]
    fn monitor_that_was_killed_leaves_its_last_word() {
        let (_root, folder) = folder("{\"id\":1,\"ti", "2026 [one:main] Ate too much\n");
        let end = EndRecord::of(&folder);
        assert_eq!((end.end, end.status, end.time_ms), (None, None, None));
        assert_eq!(end.message, "The monitor was killed or failed; it said last: Ate too much");
    }
}
