//! How a machine ends, and how its monitor's process says so.

use serde::{Deserialize, Serialize};

/// Why a machine is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineEnd {
    /// The guest powered off.
    PowerOff,
    /// The guest restarted; a monitor does not start it again.
    Reboot,
    /// The guest powered off after its power button was pressed.
    PowerButton,
    /// The guest's kernel panicked.
    Panic,
    /// A processor met a fault while delivering a double fault, and shut down.
    TripleFault,
    /// KVM could not go on.
    InternalError,
    /// KVM refused the state that the guest was to be entered with.
    FailedEntry,
    /// It was stopped from outside: by the API or a signal.
    Stopped,
}

impl MachineEnd {
    /// Every end.
    pub const ALL: [Self; 8] = [
        Self::PowerOff,
        Self::Reboot,
        Self::PowerButton,
        Self::Panic,
        Self::TripleFault,
        Self::InternalError,
        Self::FailedEntry,
        Self::Stopped,
    ];

    /// Its name, as in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PowerOff => "power-off",
            Self::Reboot => "reboot",
            Self::PowerButton => "power-button",
            Self::Panic => "panic",
            Self::TripleFault => "triple-fault",
            Self::InternalError => "internal-error",
            Self::FailedEntry => "failed-entry",
            Self::Stopped => "stopped",
        }
    }

    /// The exit status of the monitor's process: one for each end. 1 and 2 are errors before
    /// there was a machine, 148 and above faults of the monitor itself.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::PowerOff => 0,
            Self::Reboot => 100,
            Self::PowerButton => 101,
            Self::Panic => 102,
            Self::TripleFault => 103,
            Self::InternalError => 104,
            Self::FailedEntry => 105,
            Self::Stopped => 106,
        }
    }

    /// The exit status that Firecracker gives: 0 for every end that was meant.
    pub const fn firecracker_exit_status(self) -> u8 {
        match self {
            Self::PowerOff | Self::Reboot | Self::PowerButton | Self::Stopped => 0,
            _ => self.exit_status(),
        }
    }

    /// The end that an exit status stands for.
    pub fn from_exit_status(status: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.exit_status() == status)
    }

    /// What happened, as the end of a sentence that begins with "The guest".
    pub const fn describe(self) -> &'static str {
        match self {
            Self::PowerOff => "powered off",
            Self::Reboot => "restarted",
            Self::PowerButton => "powered off after its power button was pressed",
            Self::Panic => "had a kernel panic",
            Self::TripleFault => "ended in a triple fault",
            Self::InternalError => "could not be run on by KVM (internal error)",
            Self::FailedEntry => "could not be entered by KVM",
            Self::Stopped => "was stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_that_of_documents() {
        for end in MachineEnd::ALL {
            assert_eq!(serde_json::to_value(end).unwrap(), end.name());
        }
    }

    #[test]
    fn every_end_has_a_status_of_its_own() {
        for end in MachineEnd::ALL {
            assert_eq!(MachineEnd::from_exit_status(end.exit_status()), Some(end));
        }
        assert_eq!(MachineEnd::from_exit_status(1), None);
    }
}
