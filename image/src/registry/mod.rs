//! Images to and from registries, by the OCI's distribution specification.

mod challenge;
mod client;
mod config_file;
mod credentials;
mod download;
mod error;
mod look;
mod progress;
mod pull;
mod push;
mod session;
#[cfg(test)]
mod tests;
mod trust;

pub use client::{Registries, Settings};
pub use config_file::{ConfigFile, ConfigFileError};
pub use credentials::{Credentials, InvalidCredentials};
pub use error::RegistryError;
pub use look::Found;
pub use progress::{Observer, Phase, Progress};
pub use pull::{PullOptions, Pulled};
pub use push::Pushed;
pub use trust::TrustError;
