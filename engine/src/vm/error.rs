//! What can go wrong with a machine.

use axum::http::StatusCode;

use crate::container::ContainerError;
use crate::sandbox::{ControlError, SandboxError};

/// An operation on a machine failed.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// Nothing has this name, id or beginning of an id.
    #[error("No such machine: {0}")]
    NotFound(String),
    /// A beginning of an id that fits several.
    #[error("several machines have an id that begins with {0}")]
    Ambiguous(String),
    /// Another machine has the name.
    #[error("the name \"{name}\" is already in use by machine {holder}")]
    NameTaken {
        /// The name.
        name: String,
        /// The id of the one that has it.
        holder: String,
    },
    /// A name that breaks the rules.
    #[error("Invalid machine name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    /// A path that would mean something else to the monitor.
    #[error("{} is not an absolute path", .0.display())]
    Relative(std::path::PathBuf),
    /// A file that is asked for cannot be used.
    #[error("Failed to look at {}", path.display())]
    Missing {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A component has no name.
    #[error("Failed to name a component")]
    Id(#[from] vm_spec::IdError),
    /// Such a machine cannot be.
    #[error("Failed to put the machine together")]
    Spec(#[from] vm_spec::SpecError),
    /// Its state does not allow it.
    #[error("machine {name} {state}")]
    State {
        /// Its name.
        name: String,
        /// As in `is not running`.
        state: &'static str,
    },
    /// It belongs to a container or pod.
    #[error("machine {0} belongs to a container or pod: it comes and goes with that")]
    Owned(String),
    /// It did not start.
    #[error("Failed to start machine {name}")]
    Start {
        /// Its name.
        name: String,
        /// Why.
        source: SandboxError,
    },
    /// Its monitor does not do what it should.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What is in it could not be ended.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Its folder cannot be read or removed.
    #[error("Failed to {what} machine {name}")]
    Folder {
        /// As in `remove`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// The store failed.
    #[error("{0}")]
    Store(String),
    /// The host gave no random numbers.
    #[error("{0}")]
    Failed(String),
}

impl VmError {
    /// The status that it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::NameTaken { .. } | Self::State { .. } | Self::Owned(_) => StatusCode::CONFLICT,
            Self::Ambiguous(_)
            | Self::InvalidName(_)
            | Self::Relative(_)
            | Self::Missing { .. }
            | Self::Id(_)
            | Self::Spec(_) => StatusCode::BAD_REQUEST,
            Self::Container(error) => error.status(),
            Self::Start { .. }
            | Self::Control(_)
            | Self::Folder { .. }
            | Self::Store(_)
            | Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
