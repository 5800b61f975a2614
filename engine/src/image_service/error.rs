//! What can go wrong with images, and the status that Docker's clients know it by.

use axum::http::StatusCode;
use image::registry::RegistryError;
use image::{InvalidReference, StoreError};

use crate::http::ApiError;
use crate::http::error::chain;

/// An operation on an image failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The engine is ending.
    #[error("the engine is ending")]
    Ending,
    /// A text that names no image.
    #[error(transparent)]
    Name(#[from] InvalidReference),
}

impl From<ImageError> for ApiError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Store(error) | ImageError::Registry(RegistryError::Store(error)) => {
                of_store(&error)
            }
            ImageError::Registry(error) => of_registry(&error),
            ImageError::Ending => Self::unavailable(error.to_string()),
            ImageError::Name(error) => Self::invalid(error.to_string()),
        }
    }
}

fn of_store(error: &StoreError) -> ApiError {
    let status = match error {
        StoreError::NoSuchImage(_) => StatusCode::NOT_FOUND,
        StoreError::Conflict { .. } => StatusCode::CONFLICT,
        StoreError::Ambiguous(_) | StoreError::Name(_) | StoreError::TagWithDigest(_) => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, chain(error))
}

fn of_registry(error: &RegistryError) -> ApiError {
    match error {
        RegistryError::Denied { repository, message } => ApiError::not_found(format!(
            "pull access denied for {repository}, repository does not exist or may require \
             'docker login': denied: {message}"
        )),
        RegistryError::NotFound { what, message } => {
            ApiError::not_found(format!("manifest for {what} not found: {message}"))
        }
        RegistryError::Manifest { .. } => ApiError::not_found(chain(error)),
        RegistryError::Name(_) => ApiError::invalid(error.to_string()),
        _ => ApiError::from_chain(error),
    }
}
