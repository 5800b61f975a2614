//! `/_ping`, `/version`, `/info`.

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use bollard_stubs::models::{SystemInfo, SystemVersion};

use super::{ApiVersion, Shared};
use crate::system::Counts;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(info))
}

/// Clients learn the version of the API from the headers that all answers have.
async fn ping() -> impl IntoResponse {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (HeaderName::from_static("swarm"), "inactive"),
    ];
    (headers, "OK")
}

async fn version(State(engine): State<Shared>) -> Json<SystemVersion> {
    Json(engine.system.version(ApiVersion::NEWEST, ApiVersion::OLDEST))
}

async fn info(State(engine): State<Shared>) -> Json<SystemInfo> {
    Json(engine.system.info(Counts::default()))
}
