//! What can go wrong with a network.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use axum::http::StatusCode;
use switch::client::ClientError;

use super::kernel::KernelError;
use crate::http::ApiError;
use crate::store::StoreError;

/// An operation on a network failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Nothing has this name, id or beginning of an id.
    #[error("network {0} not found")]
    NotFound(String),
    /// A beginning of an id that fits several.
    #[error("network {0} is ambiguous: more than one id begins with it")]
    Ambiguous(String),
    /// Another network has the name.
    #[error("network with name {0} already exists")]
    Exists(String),
    /// The name of a network that comes with the engine.
    #[error("operation is not permitted on predefined {0} network")]
    Predefined(String),
    /// One that comes with the engine stays.
    #[error("{0} is a pre-defined network and cannot be removed")]
    Stays(String),
    /// Containers are on it.
    #[error("error while removing network: network {name} has active endpoints ({members})")]
    InUse {
        /// Its name.
        name: String,
        /// Their names and ids.
        members: String,
    },
    /// What was asked for makes no sense; the sentence is Docker's where it has one.
    #[error("{0}")]
    Invalid(String),
    /// Sound, but not to be had here.
    #[error("{0}")]
    Unsupported(String),
    /// A subnet has addresses of another network.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap,
    /// Every pool is in use.
    #[error("all predefined address pools have been fully subnetted")]
    NoPool,
    /// Every address of a network is in use.
    #[error("no available IPv{version} addresses on this network's address pools: {name} ({id})")]
    Full {
        /// 4 or 6.
        version: u8,
        /// The network.
        name: String,
        /// Its id.
        id: String,
    },
    /// Another container has the address.
    #[error("Address already in use: {0}")]
    AddressInUse(IpAddr),
    /// The container is on it already.
    #[error("endpoint with name {container} already exists in network {network}")]
    Attached {
        /// The container's name.
        container: String,
        /// The network's.
        network: String,
    },
    /// The container is not on it.
    #[error("container {container} is not connected to network {network}")]
    NotAttached {
        /// The container.
        container: String,
        /// The network.
        network: String,
    },
    /// A port of the host that something else listens at.
    #[error(
        "failed to set up container networking: driver failed programming external connectivity \
         on endpoint {container}: Bind for {address}:{port} failed: port is already allocated"
    )]
    PortInUse {
        /// The container's name.
        container: String,
        /// The host's address.
        address: IpAddr,
        /// Its port, or the last of the range.
        port: u16,
    },
    /// The switch says no, or nothing.
    #[error("Failed to set up the network of {subject}")]
    Switch {
        /// The container or network.
        subject: String,
        /// Why.
        source: ClientError,
    },
    /// The switch does not start.
    #[error("Failed to start the switch {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel's side of it, which a bridge of the kernel has.
    #[error("Failed to set up the network of {subject}")]
    Kernel {
        /// The container or network.
        subject: String,
        /// Why.
        source: KernelError,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness for an id.
    #[error("Failed to make an id: {0}")]
    Id(String),
}

impl NetworkError {
    /// The status of Docker's API.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Exists(_) => StatusCode::CONFLICT,
            Self::Predefined(_)
            | Self::Stays(_)
            | Self::InUse { .. }
            | Self::Overlap
            | Self::Attached { .. }
            | Self::AddressInUse(_) => StatusCode::FORBIDDEN,
            Self::Invalid(_) | Self::Ambiguous(_) => StatusCode::BAD_REQUEST,
            Self::Kernel { source: KernelError::Unreachable(_), .. } => StatusCode::BAD_REQUEST,
            Self::Kernel { source: KernelError::Privilege, .. } => StatusCode::FORBIDDEN,
            Self::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Self::NoPool
            | Self::Full { .. }
            | Self::NotAttached { .. }
            | Self::PortInUse { .. }
            | Self::Switch { .. }
            | Self::Start { .. }
            | Self::Kernel { .. }
            | Self::Store(_)
            | Self::Id(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<NetworkError> for ApiError {
    fn from(error: NetworkError) -> Self {
        Self::new(error.status(), crate::http::error::chain(&error))
    }
}
