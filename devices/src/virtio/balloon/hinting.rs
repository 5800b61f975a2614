//! Free-page hinting (VIRTIO 1.3 §5.5.6.5): the host asks once for what is free.
//!
//! ```text
//!  host: command id 2, 3, …     guest: the id it answers, pages, …, then STOP
//!  host: DONE, and the guest may use the pages again
//! ```

/// The guest has named all that was free; or no command was given yet.
const STOP: u32 = 0;
/// The host is done with what was named.
const DONE: u32 = 1;
/// The first id of a command.
const FIRST: u32 = 2;

/// Where a run of hinting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HintingStatus {
    /// The host's last command: 0 none yet, 1 done, others the id of a run.
    pub host_command: u32,
    /// The guest's last: 0 the end of its run, others the id of the run that it answers.
    pub guest_command: Option<u32>,
}

/// The run of commands.
#[derive(Debug, Default)]
pub(super) struct Hinting {
    status: HintingStatus,
    last_id: u32,
    acknowledge_on_stop: bool,
}

impl Hinting {
    pub(super) fn status(&self) -> HintingStatus {
        self.status
    }

    /// Begins a run and returns the command to show. With `acknowledge_on_stop` its end is
    /// acknowledged as soon as the guest says so.
    pub(super) fn start(&mut self, acknowledge_on_stop: bool) -> u32 {
        self.acknowledge_on_stop = acknowledge_on_stop;
        self.last_id = self.last_id.wrapping_add(1).max(FIRST);
        self.status.host_command = self.last_id;
        self.last_id
    }

    /// Ends a run and returns the command to show.
    pub(super) fn stop(&mut self) -> u32 {
        self.status.host_command = DONE;
        DONE
    }

    /// Takes a command of the guest; returns the one to show, if that changes.
    pub(super) fn guest_says(&mut self, command: u32) -> Option<u32> {
        self.status.guest_command = Some(command);
        let over = command == STOP && self.acknowledge_on_stop && self.status.host_command >= FIRST;
        over.then(|| self.stop())
    }

    /// Whether what the guest names now belongs to the run at hand.
    pub(super) fn is_current(&self) -> bool {
        self.status.host_command >= FIRST
            && self.status.guest_command == Some(self.status.host_command)
    }
}
