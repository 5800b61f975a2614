//! Docker's Engine API over a unix socket, with `/vms` beside it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`serve`] | connections and their limits |
//! | [`version`] | the version in a path |
//! | [`error`], [`query`], [`filters`], [`body`] | what handlers take and fail with |
//! | [`unread`] | what handlers leave of a request |
//! | [`zero_values`], [`older_versions`] | documents as Docker's clients expect them |
//! | [`lines`], [`multiplex`], [`hijack`] | answers that are streams |
//! | the others | routes, a file for each kind of object |
//!
//! Handlers translate: they read a request into the types of a service, and its answer or failure
//! into Docker's. What the service does is not known here.

pub mod body;
mod containers;
pub mod error;
mod events;
pub mod filters;
mod hang_up;
pub mod hijack;
mod images;
pub mod lines;
pub mod multiplex;
mod named;
mod networks;
mod older_versions;
#[cfg(test)]
mod openapi;
mod pods;
pub mod query;
mod refused;
pub mod serve;
mod system;
#[cfg(test)]
pub(crate) mod tests;
mod unread;
pub mod version;
mod vms;
mod volumes;
mod zero_values;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tower_service::Service;

pub use self::body::{JsonBody, OptionalJson};
pub use self::error::{ApiError, ApiResult};
pub use self::filters::Filters;
pub use self::hijack::Hijack;
pub use self::query::Query;
pub use self::version::ApiVersion;
use crate::engine::Engine;

/// What handlers get by `State`.
pub type Shared = Arc<Engine>;

/// All of the API for `engine`.
pub fn router(engine: Shared) -> Router {
    let routes = Router::new()
        .merge(system::routes())
        .merge(events::routes())
        .merge(images::routes())
        .merge(networks::routes())
        .merge(volumes::routes())
        .merge(containers::routes())
        .merge(pods::routes())
        .merge(vms::routes())
        .merge(refused::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(engine);
    around(routes)
}

/// The version is taken off before a route is looked for, so it is done in a router around.
fn around(routes: Router) -> Router {
    Router::new().fallback(versioned).with_state(routes)
}

async fn versioned(State(routes): State<Router>, request: Request) -> Response {
    let (mut request, unread) = unread::watch(request);
    let mut response = match version::take(&mut request) {
        Ok(()) => handled(routes, request).await,
        Err(error) => {
            drop(request);
            error.into_response()
        }
    };
    unread.discard().await;
    let headers = response.headers_mut();
    let newest = HeaderValue::from_str(&ApiVersion::NEWEST.to_string());
    if let Ok(newest) = newest {
        headers.insert("api-version", newest);
    }
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}

/// Answers a request in a task of its own, as hyper drops what it waits for when a client goes
/// away, and nothing may be left half done. Answers that are streams end with their client all the
/// same: nobody takes from them any more.
async fn handled(mut routes: Router, request: Request) -> Response {
    let answer = tokio::spawn(async move { routes.call(request).await.into_response() });
    answer.await.unwrap_or_else(|error| ApiError::internal(error.to_string()).into_response())
}

/// The header `Server`.
const SERVER: &str = concat!("Bulkhead/", env!("CARGO_PKG_VERSION"), " (linux)");

async fn unknown() -> ApiError {
    ApiError::not_found("page not found")
}
