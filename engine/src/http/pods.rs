//! `/pods`: several containers in one machine. Containers are made in one by Docker's own
//! `POST /containers/create`, with `pod` in its query.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::named::{Find, Named, done};
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

/// A container that is a pod.
struct FoundPod(Arc<Container>);

impl Find for FoundPod {
    fn find(engine: &Shared, id: &str) -> ApiResult<Self> {
        Ok(Self(engine.containers.find_pod(id)?))
    }
}

type NamedPod = Named<FoundPod>;

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

async fn inspect(Named(FoundPod(pod)): NamedPod) -> Json<Pod> {
    Json(pod.pod_document().await)
}

async fn start(Named(FoundPod(pod)): NamedPod) -> ApiResult<StatusCode> {
    done(pod.start_pod().await)
}

async fn stop(Named(FoundPod(pod)): NamedPod, query: Query) -> ApiResult<StatusCode> {
    done(pod.stop_pod(timeout(&query)?).await)
}

fn timeout(query: &Query) -> ApiResult<Option<Option<Duration>>> {
    Ok(query.number("t")?.map(|seconds| Some(Duration::from_secs(seconds))))
}

async fn restart(Named(FoundPod(pod)): NamedPod, query: Query) -> ApiResult<StatusCode> {
    done(pod.restart_pod(timeout(&query)?).await)
}

async fn pause(Named(FoundPod(pod)): NamedPod) -> ApiResult<StatusCode> {
    done(pod.pause_pod().await)
}

async fn unpause(Named(FoundPod(pod)): NamedPod) -> ApiResult<StatusCode> {
    done(pod.unpause_pod().await)
}

async fn kill(Named(FoundPod(pod)): NamedPod, query: Query) -> ApiResult<StatusCode> {
    let number = match query.text("signal") {
        Some(text) => signal::parse(text).map_err(|error| ApiError::invalid(error.to_string()))?,
        None => signal::KILL,
    };
    done(pod.kill_pod(number).await)
}

async fn remove(
    State(engine): State<Shared>,
    Named(FoundPod(pod)): NamedPod,
    query: Query,
) -> ApiResult<StatusCode> {
    done(engine.containers.remove_pod(&pod, query.flag("force")).await)
}
