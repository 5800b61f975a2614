//! `/vms`: machines as such. Documents and routes are our own; failures are answered as everywhere.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::error::chain;
use super::{ApiError, ApiResult, JsonBody, Query, Shared};
use crate::vm::document::{Made, Vm, VmCreate};
use crate::vm::{Machine, VmError};

/// The document that describes all this, made of the types by a test.
const OPENAPI: &str = include_str!("../../openapi/engine.json");

/// Between the power button and the end by force.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/vms", get(list).post(create))
        .route("/vms/openapi.json", get(openapi))
        .route("/vms/{id}", get(inspect).delete(remove))
        .route("/vms/{id}/start", post(start))
        .route("/vms/{id}/stop", post(stop))
        .route("/vms/{id}/kill", post(kill))
        .route("/vms/{id}/pause", post(pause))
        .route("/vms/{id}/resume", post(resume))
        .route("/vms/{id}/spec", get(spec))
        .route("/vms/{id}/metrics", get(metrics))
        .route("/vms/{id}/events", get(events))
        .route("/vms/{id}/log", get(log))
        .route("/vms/{id}/console", get(console))
}

impl From<VmError> for ApiError {
    fn from(error: VmError) -> Self {
        Self::new(error.status(), chain(&error))
    }
}

fn find(engine: &Shared, id: &str) -> ApiResult<Machine> {
    Ok(engine.vms.find(id)?)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn list(State(engine): State<Shared>) -> Json<Vec<Vm>> {
    let mut documents = Vec::new();
    for machine in engine.vms.all() {
        documents.push(machine.document().await);
    }
    Json(documents)
}

async fn create(
    State(engine): State<Shared>,
    JsonBody(body): JsonBody<VmCreate>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = engine.vms.create(body).await?.id.clone();
    Ok((StatusCode::CREATED, Json(Made { id })))
}

async fn inspect(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<Json<Vm>> {
    Ok(Json(find(&engine, &id)?.document().await))
}

async fn remove(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let (machine, force) = (find(&engine, &id)?, query.flag("force"));
    machine.remove(force).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let machine = find(&engine, &id)?;
    machine.start().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let timeout = query.number("t")?.map_or(STOP_TIMEOUT, Duration::from_secs);
    let machine = find(&engine, &id)?;
    machine.stop(timeout).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn kill(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let machine = find(&engine, &id)?;
    machine.kill().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pause(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let machine = find(&engine, &id)?;
    machine.pause().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resume(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let machine = find(&engine, &id)?;
    machine.resume().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn spec(
    State(engine): State<Shared>,
    Path(id): Path<String>,
) -> ApiResult<Json<vm_spec::VmSpec>> {
    Ok(Json(find(&engine, &id)?.spec()?))
}

async fn metrics(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult {
    Ok(plain_text(find(&engine, &id)?.metrics().await?))
}

async fn events(
    State(engine): State<Shared>,
    Path(id): Path<String>,
) -> ApiResult<Json<Vec<serde_json::Value>>> {
    Ok(Json(find(&engine, &id)?.events()))
}

async fn log(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult {
    Ok(plain_text(find(&engine, &id)?.log()?))
}

async fn console(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult {
    Ok(plain_text(find(&engine, &id)?.console()?))
}

fn plain_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
