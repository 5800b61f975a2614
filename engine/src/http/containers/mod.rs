//! `/containers` and `/exec`.

mod attach;
mod commit;
mod create;
mod exec;
mod files;
mod filter;
mod life;
mod list;
mod networks;
mod stats;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::{ApiError, ApiResult, Shared};
use crate::container::{Container, ContainerError};
use crate::engine::Engine;

/// What was made. The type generated from Docker's description writes `id`, which only clients
/// that do not look at the case understand.
#[derive(Debug, serde::Serialize)]
struct Made {
    #[serde(rename = "Id")]
    id: String,
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/containers/json", get(list::list))
        .route("/containers/create", post(create::create))
        .route("/containers/prune", post(list::prune))
        .route("/containers/{id}", axum::routing::delete(life::remove))
        .route("/containers/{id}/json", get(list::inspect))
        .route("/containers/{id}/start", post(life::start))
        .route("/containers/{id}/stop", post(life::stop))
        .route("/containers/{id}/restart", post(life::restart))
        .route("/containers/{id}/kill", post(life::kill))
        .route("/containers/{id}/pause", post(life::pause))
        .route("/containers/{id}/unpause", post(life::unpause))
        .route("/containers/{id}/rename", post(life::rename))
        .route("/containers/{id}/update", post(life::update))
        .route("/containers/{id}/wait", post(life::wait))
        .route("/containers/{id}/resize", post(attach::resize))
        .route("/containers/{id}/attach", post(attach::attach))
        .route("/containers/{id}/logs", get(attach::logs))
        .route("/containers/{id}/stats", get(stats::stats))
        .route("/containers/{id}/top", get(stats::top))
        .route("/containers/{id}/changes", get(files::changes))
        .route("/containers/{id}/export", get(files::export))
        .route("/containers/{id}/archive", get(files::read).head(files::status).put(files::write))
        .route("/containers/{id}/exec", post(exec::create))
        .route("/commit", post(commit::commit))
        .route("/networks/{id}/connect", post(networks::connect))
        .route("/networks/{id}/disconnect", post(networks::disconnect))
        .route("/exec/{id}/start", post(exec::start))
        .route("/exec/{id}/resize", post(exec::resize))
        .route("/exec/{id}/json", get(exec::inspect))
}

impl From<ContainerError> for ApiError {
    fn from(error: ContainerError) -> Self {
        let status = error.status();
        match &error {
            ContainerError::Io { .. } => Self::new(status, super::error::chain(&error)),
            _ => Self::new(status, error.to_string()),
        }
    }
}

fn find(engine: &Engine, id: &str) -> ApiResult<Arc<Container>> {
    Ok(engine.containers.find(id)?)
}
