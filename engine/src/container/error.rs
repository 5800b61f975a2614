//! What can go wrong with a container, and the status that Docker's clients know it by.

use axum::http::StatusCode;

use super::spec::SpecError;

/// An operation on a container failed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Nothing has this name, id or beginning of an id.
    #[error("No such container: {0}")]
    NotFound(String),
    /// No pod has this name, id or beginning of an id.
    #[error("No such pod: {0}")]
    NoPod(String),
    /// A beginning of an id that fits several.
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
    /// No such exec instance.
    #[error("No such exec instance: {0}")]
    ExecNotFound(String),
    /// The image is not there.
    #[error("No such image: {0}")]
    NoImage(String),
    /// Another container has the name.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The id of the one that has it.
        holder: String,
    },
    /// A name that breaks the rules.
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    /// What was asked for contradicts itself or cannot be done.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A parameter of a request.
    #[error("{0}")]
    Invalid(String),
    /// The container's state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// It runs already, or is stopped already: Docker's 304.
    #[error("The container is in this state already")]
    Unchanged,
    /// The program could not be started; Docker's clients turn these words into 126 or 127.
    #[error("failed to create task for container: {message}")]
    Program {
        /// What the agent said.
        message: String,
        /// The shell's exit code for it: 126 or 127, otherwise 128.
        code: i64,
    },
    /// A path in a container that does not exist.
    #[error("Could not find the file {path} in container {container}")]
    NoPath {
        /// The path.
        path: String,
        /// The container as the client called it.
        container: String,
    },
    /// The machine could not be started or went away.
    #[error("{0}")]
    Machine(String),
    /// The guest was waited for and did nothing.
    #[error("the guest of container {container} did not answer for {limit:?}")]
    Silent {
        /// The container.
        container: String,
        /// How long it was waited for.
        limit: std::time::Duration,
    },
    /// A volume or a network could not be had; the status is theirs.
    #[error("{message}")]
    Other {
        /// The status.
        status: StatusCode,
        /// The words.
        message: String,
    },
    /// The store failed.
    #[error("{0}")]
    Store(String),
    /// Reading or writing failed on the host.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl ContainerError {
    /// The status of Docker's API.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_)
            | Self::NoPod(_)
            | Self::ExecNotFound(_)
            | Self::NoImage(_)
            | Self::NoPath { .. } => StatusCode::NOT_FOUND,
            Self::NameTaken { .. } | Self::Conflict(_) => StatusCode::CONFLICT,
            Self::InvalidName(_) | Self::Invalid(_) | Self::Ambiguous(_) => StatusCode::BAD_REQUEST,
            Self::Spec(error) => error.status(),
            Self::Unchanged => StatusCode::NOT_MODIFIED,
            Self::Program { code: 126 | 127, .. } => StatusCode::BAD_REQUEST,
            Self::Other { status, .. } => *status,
            Self::Program { .. }
            | Self::Machine(_)
            | Self::Silent { .. }
            | Self::Store(_)
            | Self::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For `map_err`: an I/O error and what was attempted.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
