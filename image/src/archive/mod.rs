//! Images in files: archives as `docker save` and other tools write them, and file systems that
//! become images.

mod assemble;
mod bounds;
mod changes;
mod layout;
mod load;
mod pump;
mod resolve;
mod save;
#[cfg(test)]
mod tests;

use std::io;

pub use assemble::{Commit, Import};
pub use changes::{InvalidChange, apply_change};
pub use load::Loaded;

use crate::manifest::ManifestError;
use crate::{Digest, InvalidReference, StoreError};

/// An archive that was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive could not be read, or is no archive.
    #[error("failed to read the archive")]
    Read(#[source] io::Error),
    /// The archive could not be written.
    #[error("failed to write the archive")]
    Write(#[source] io::Error),
    /// It has neither form.
    #[error("the archive has neither a manifest.json nor an index.json")]
    Unknown,
    /// It holds more files or documents than images need.
    #[error("the archive holds more than {0} bytes of names and documents")]
    Documents(u64),
    /// Something that it refers to is not in it.
    #[error("the archive refers to {0}, which is not in it")]
    Missing(String),
    /// A blob is not what its name says.
    #[error("the digest of {name} in the archive is {found}")]
    Digest {
        /// The blob.
        name: String,
        /// What it should be called.
        found: Digest,
    },
    /// A document in it cannot be parsed.
    #[error("{name} in the archive cannot be used")]
    Json {
        /// Which.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A manifest in it is none of an image for us.
    #[error("{name} in the archive cannot be used")]
    Manifest {
        /// Which.
        name: String,
        /// Why.
        source: ManifestError,
    },
    /// Its layers are not those that its configuration tells of.
    #[error("the layers of {0} in the archive are not those of its configuration")]
    Layers(String),
    /// A name in it is none.
    #[error("the archive gives an image a name that cannot be used")]
    Name(#[from] InvalidReference),
    /// The store refused it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
