//! Bodies of requests that are read as a whole.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Bytes of a body that is read as a whole. What is longer is a stream: images, archives.
const LIMIT: usize = 4 << 20;
/// A client that sends slower than this is not waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON document. The content type is not looked at, as Docker's clients do not agree on it.
#[derive(Clone, Debug)]
pub struct JsonBody<T>(pub T);

/// As [`JsonBody`], or nothing.
#[derive(Clone, Debug)]
pub struct OptionalJson<T>(pub Option<T>);

/// All of `body`.
///
/// # Errors
///
/// 413 if it has more than 4 MiB, 408 if it does not come, 400 if it breaks off.
pub async fn read(body: Body) -> Result<Bytes, ApiError> {
    tokio::time::timeout(TIMEOUT, collect(body)).await.unwrap_or_else(|_| {
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body of the request did not come"))
    })
}

async fn collect(body: Body) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body of the request is larger than {LIMIT} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk
            .map_err(|error| ApiError::invalid(format!("failed to read the body: {error}")))?;
        if whole.len() + chunk.len() > LIMIT {
            return Err(too_large());
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut document).map_err(wrong)?;
    document.end().map_err(|_| ApiError::invalid("unexpected content after JSON"))?;
    Ok(value)
}

/// A document as what it is.
///
/// # Errors
///
/// 400 if it is something else.
pub fn typed<T: DeserializeOwned>(document: serde_json::Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(document).map_err(wrong)
}

fn wrong(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let cause = error.into_inner();
    ApiError::invalid(match path.as_str() {
        "." => format!("invalid JSON: {cause}"),
        _ => format!("invalid JSON: {path}: {cause}"),
    })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match OptionalJson::from_request(request, state).await? {
            OptionalJson(Some(value)) => Ok(Self(value)),
            OptionalJson(None) => {
                Err(ApiError::invalid("invalid JSON: got EOF while reading request body"))
            }
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request.into_body()).await?;
        let empty = bytes.iter().all(u8::is_ascii_whitespace);
        // Clients without a body for a call that may have one send `null`.
        if empty || bytes.trim_ascii() == b"null" {
            return Ok(Self(None));
        }
        parse(&bytes).map(|value| Self(Some(value)))
    }
}

#[cfg(test)]
mod tests {
    use bollard_stubs::models::VolumeCreateRequest;

    use super::*;

    async fn volume(body: &str) -> Result<VolumeCreateRequest, ApiError> {
        let request = Request::new(Body::from(body.to_owned()));
        JsonBody::from_request(request, &()).await.map(|body| body.0)
    }

    #[tokio::test]
    async fn wrong_type_is_named_by_its_path() {
        let error = volume(r#"{"Labels":{"a":1}}"#).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert!(error.message().starts_with("invalid JSON: Labels"), "{error}");
    }

    #[tokio::test]
    async fn two_documents_are_refused() {
        assert_eq!(volume("{} {}").await.unwrap_err().message(), "unexpected content after JSON");
        assert_eq!(volume(" {}\n").await.unwrap(), VolumeCreateRequest::default());
    }

    #[tokio::test]
    async fn empty_body_is_refused_where_one_is_needed() {
        assert_eq!(volume("").await.unwrap_err().status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn body_over_the_limit_gets_413() {
        let error = volume(&" ".repeat(LIMIT + 1)).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_does_not_come_gets_408() {
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let error = read(Body::from_stream(never)).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
