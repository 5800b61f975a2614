//! What a path names by `{id}`, found before its handler runs.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::{ApiError, ApiResult, Shared};

/// Something of the engine that has a name and an id.
pub(super) trait Find: Sized {
    /// The one that is meant by `{id}`.
    fn find(engine: &Shared, id: &str) -> ApiResult<Self>;
}

/// The one that the path names. An extractor.
#[derive(Clone, Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<T: Find> FromRequestParts<Shared> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, engine: &Shared) -> Result<Self, Response> {
        let Path(id) = Path::<String>::from_request_parts(parts, engine)
            .await
            .map_err(IntoResponse::into_response)?;
        T::find(engine, &id).map(Self).map_err(IntoResponse::into_response)
    }
}

/// The answer to what has no more to tell than that it was done.
pub(super) fn done(outcome: Result<(), impl Into<ApiError>>) -> ApiResult<StatusCode> {
    outcome.map_err(Into::into)?;
    Ok(StatusCode::NO_CONTENT)
}
