//! What a machine does, as commands show it.

use api::vm::wire::InstanceState;
use serde::Serialize;

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum State {
    Starting,
    Running,
    Paused,
    Ended,
    /// Its monitor does not answer.
    Unknown,
}

impl State {
    /// In a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Unknown => "unknown",
        }
    }
}

impl From<InstanceState> for State {
    fn from(state: InstanceState) -> Self {
        match state {
            InstanceState::NotStarted => Self::Starting,
            InstanceState::Running => Self::Running,
            InstanceState::Paused => Self::Paused,
        }
    }
}
