//! What can go wrong in a store.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::ImageId;
use crate::InvalidReference;
use crate::layer::ImportError;

/// A request that the store did not fulfil.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of the store could not be read.
    #[error("failed to read {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder of the store could not be written.
    #[error("failed to write {path}", path = .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk that the store is on has no room left.
    #[error("the disk of {path} is full", path = .path.display())]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// What could not be done.
        source: Box<StoreError>,
    },
    /// Another process has the store open.
    #[error("the image store {path} is in use by another process", path = .0.display())]
    Locked(PathBuf),
    /// The index is damaged.
    #[error("the index of images {path} cannot be used", path = .path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The index was written by a newer program.
    #[error("the index of images {path} has version {version}, which is not known", path = .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// Nothing has that name or id.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// More than one image has an id that begins so.
    #[error("the image id {0} is ambiguous: more than one begins with it")]
    Ambiguous(String),
    /// A text that names no image.
    #[error(transparent)]
    Name(#[from] InvalidReference),
    /// A digest cannot be given to an image: it is computed.
    #[error("cannot create a tag with a digest reference: {0}")]
    TagWithDigest(String),
    /// The image cannot be removed, or only by force.
    #[error("conflict: unable to {action} ({remedy}) - {reason}", remedy = if *.forceable { "must be forced" } else { "cannot be forced" })]
    Conflict {
        /// What was asked for, with its subject.
        action: String,
        /// Whether force would do it.
        forceable: bool,
        /// What is in the way.
        reason: String,
    },
    /// An image's configuration is damaged.
    #[error("the configuration of image {id} cannot be used")]
    Config {
        /// Which image.
        id: ImageId,
        /// Why.
        source: serde_json::Error,
    },
    /// A layer is no archive, too large, or not what it was said to be.
    #[error("failed to import layer {name}")]
    Layer {
        /// Its digest, or its name in an archive.
        name: String,
        /// Why.
        #[source]
        source: LayerError,
    },
}

impl StoreError {
    /// With the name of the disk where that is full; `path` is on it.
    pub(super) fn of_disk(self, path: &Path) -> Self {
        if !self.tells_of_a_full_disk() {
            return self;
        }
        Self::Full { path: path.to_owned(), source: Box::new(self) }
    }

    fn tells_of_a_full_disk(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let kind = error.downcast_ref().map(io::Error::kind);
            if matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Why a layer was refused.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It could not be converted.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// It could not be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The blob has another digest than its manifest says.
    #[error("its digest is {found}, not {expected}")]
    Digest {
        /// What the manifest says.
        expected: crate::Digest,
        /// What came.
        found: crate::Digest,
    },
    /// The blob has another length than its manifest says.
    #[error("it has {found} bytes, not {expected}")]
    Size {
        /// What the manifest says.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The archive in it has another digest than the image's configuration says.
    #[error("the digest of its content is {found}, not {expected}")]
    DiffId {
        /// What the configuration says.
        expected: crate::Digest,
        /// What came.
        found: crate::Digest,
    },
}
