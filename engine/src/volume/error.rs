//! What can go wrong with a volume.

use std::io;
use std::path::PathBuf;

use crate::http::ApiError;
use crate::store::StoreError;

/// An operation on a volume failed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Nothing has this name.
    #[error("get {0}: no such volume")]
    NotFound(String),
    /// Containers have it.
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    InUse {
        /// Its name.
        name: String,
        /// Their ids.
        users: Vec<String>,
    },
    /// A name that breaks the rules.
    #[error(
        "create {0}: \"{0}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use \
         absolute path"
    )]
    Name(String),
    /// A driver that there is not.
    #[error(
        "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
    )]
    Driver {
        /// The volume.
        name: String,
        /// The driver.
        driver: String,
    },
    /// An option that asks for what cannot be had.
    #[error(
        "create {name}: option {option} is not supported: only type=none, o=bind and device=FOLDER \
         are"
    )]
    Option {
        /// The volume.
        name: String,
        /// The option with its value.
        option: String,
    },
    /// The host's file system fails.
    #[error("Failed to {operation} {}", path.display())]
    Folder {
        /// What was attempted.
        operation: &'static str,
        /// With which folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<VolumeError> for ApiError {
    fn from(error: VolumeError) -> Self {
        let message = error.to_string();
        match error {
            VolumeError::NotFound(_) | VolumeError::Driver { .. } => Self::not_found(message),
            VolumeError::InUse { .. } => Self::conflict(message),
            VolumeError::Name(_) | VolumeError::Option { .. } => Self::invalid(message),
            VolumeError::Folder { .. } | VolumeError::Store(_) => Self::from_chain(&error),
        }
    }
}
