//! What can go wrong between us and a registry.

use std::time::Duration;

use reqwest::StatusCode;

use super::TrustError;
use crate::manifest::ManifestError;
use crate::{Digest, StoreError};

/// A transfer that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No client for HTTP could be made.
    #[error("failed to set up a client for registries")]
    Client(#[source] reqwest::Error),
    /// The name of the registry makes no URL.
    #[error("{0:?} is not the name of a registry")]
    Name(String),
    /// The certificates that are there for a registry cannot be used.
    #[error("the certificates for registry {registry} cannot be used")]
    Trust {
        /// Its name.
        registry: String,
        /// Why.
        source: TrustError,
    },
    /// The registry is not who it says, as far as we know.
    #[error(
        "the certificate of registry {registry} is not trusted: {reason}; put that of its authority \
         into /etc/docker/certs.d/{registry}/ca.crt"
    )]
    Untrusted {
        /// Its name.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry was not reached, or broke off.
    #[error("failed to talk to registry {registry}")]
    Transport {
        /// Its name.
        registry: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The registry does not let us, or says that it has no such repository.
    #[error("access to {repository} denied, it does not exist or may require a login: {message}")]
    Denied {
        /// As users write it.
        repository: String,
        /// What the registry says.
        message: String,
    },
    /// There is no such tag, manifest or blob.
    #[error("{what} not found: {message}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// What the registry says.
        message: String,
    },
    /// The registry answered with another status than it should.
    #[error("registry {registry} answered {status} when asked for {what}: {message}")]
    Status {
        /// Its name.
        registry: String,
        /// What was asked for.
        what: String,
        /// What it answered.
        status: StatusCode,
        /// What it says.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The registry's answer breaks the specification.
    #[error("registry {registry} answered what cannot be used for {what}: {problem}")]
    Answer {
        /// Its name.
        registry: String,
        /// What was asked for.
        what: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A document that is longer than such documents are.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// Which.
        what: String,
        /// How long it may be.
        limit: u64,
    },
    /// A document is not the one that was asked for.
    #[error("the digest of {what} is {found}, not {expected}")]
    Digest {
        /// Which.
        what: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A blob broke off, and did so again when it was asked for again.
    #[error("blob {digest} ended after {received} of {size} bytes")]
    Truncated {
        /// Which.
        digest: Digest,
        /// What came.
        received: u64,
        /// What the manifest says.
        size: u64,
    },
    /// The manifest is none of an image for us.
    #[error("{name} cannot be used")]
    Manifest {
        /// The image.
        name: String,
        /// Why.
        source: ManifestError,
    },
    /// The configuration does not parse.
    #[error("the configuration of {name} cannot be used")]
    Config {
        /// The image.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Manifest and configuration tell of different layers.
    #[error("the manifest of {name} has {manifest} layers, its configuration {config}")]
    Layers {
        /// The image.
        name: String,
        /// Layers of the manifest.
        manifest: usize,
        /// Layers of the configuration.
        config: usize,
    },
    /// The store refused it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread that worked for the transfer is gone.
    #[error("the import of layer {0} was broken off")]
    Aborted(Digest),
}

impl RegistryError {
    /// Whether the same request may fare better a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !source.is_builder() && !source.is_redirect(),
            Self::Truncated { .. } => true,
            Self::Status { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS
                    || *status == StatusCode::REQUEST_TIMEOUT
                    || (status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED)
            }
            _ => false,
        }
    }

    /// How long the registry wants us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
