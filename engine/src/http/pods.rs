//! `/pods`: several containers in one machine. Containers are made in one by Docker's own
//! `POST /containers/create`, with `pod` in its query.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{ApiError, ApiResult, JsonBody, Query, Shared};
use crate::container::Container;
use crate::container::pods::{Pod, PodCreate};
use crate::container::spec::signal;
use crate::vm::document::Made;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/pods", get(list).post(create))
        .route("/pods/{id}", get(inspect).delete(remove))
        .route("/pods/{id}/start", post(start))
        .route("/pods/{id}/stop", post(stop))
        .route("/pods/{id}/restart", post(restart))
        .route("/pods/{id}/pause", post(pause))
        .route("/pods/{id}/unpause", post(unpause))
        .route("/pods/{id}/kill", post(kill))
}

fn find(engine: &Shared, id: &str) -> ApiResult<Arc<Container>> {
    Ok(engine.containers.find_pod(id)?)
}

async fn list(State(engine): State<Shared>) -> Json<Vec<Pod>> {
    let mut documents = Vec::new();
    for pod in engine.containers.pods() {
        documents.push(pod.pod_document().await);
    }
    Json(documents)
}

async fn create(
    State(engine): State<Shared>,
    JsonBody(body): JsonBody<PodCreate>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = engine.containers.create_pod(body).await?.id.clone();
    Ok((StatusCode::CREATED, Json(Made { id })))
}

async fn inspect(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<Json<Pod>> {
    Ok(Json(find(&engine, &id)?.pod_document().await))
}

async fn start(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let pod = find(&engine, &id)?;
    pod.start_pod().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let pod = find(&engine, &id)?;
    pod.stop_pod(timeout(&query)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn timeout(query: &Query) -> ApiResult<Option<Option<Duration>>> {
    Ok(query.number("t")?.map(|seconds| Some(Duration::from_secs(seconds))))
}

async fn restart(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let pod = find(&engine, &id)?;
    pod.restart_pod(timeout(&query)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let pod = find(&engine, &id)?;
    pod.pause_pod().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unpause(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let pod = find(&engine, &id)?;
    pod.unpause_pod().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn kill(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let number = match query.text("signal") {
        Some(text) => signal::parse(text).map_err(|error| ApiError::invalid(error.to_string()))?,
        None => signal::KILL,
    };
    let pod = find(&engine, &id)?;
    pod.kill_pod(number).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let (pod, force) = (find(&engine, &id)?, query.flag("force"));
    engine.containers.remove_pod(&pod, force).await?;
    Ok(StatusCode::NO_CONTENT)
}
