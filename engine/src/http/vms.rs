//! `/vms`: machines as such. Documents and routes are our own; failures are answered as everywhere.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::error::chain;
use super::named::{Find, Named, done};
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

impl Find for Machine {
    fn find(engine: &Shared, id: &str) -> ApiResult<Self> {
        Ok(engine.vms.find(id)?)
    }
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

async fn inspect(Named(machine): Named<Machine>) -> Json<Vm> {
    Json(machine.document().await)
}

async fn remove(Named(machine): Named<Machine>, query: Query) -> ApiResult<StatusCode> {
    done(machine.remove(query.flag("force")).await)
}

async fn start(Named(machine): Named<Machine>) -> ApiResult<StatusCode> {
    done(machine.start().await)
}

async fn stop(Named(machine): Named<Machine>, query: Query) -> ApiResult<StatusCode> {
    let timeout = query.number("t")?.map_or(STOP_TIMEOUT, Duration::from_secs);
    done(machine.stop(timeout).await)
}

async fn kill(Named(machine): Named<Machine>) -> ApiResult<StatusCode> {
    done(machine.kill().await)
}

async fn pause(Named(machine): Named<Machine>) -> ApiResult<StatusCode> {
    done(machine.pause().await)
}

async fn resume(Named(machine): Named<Machine>) -> ApiResult<StatusCode> {
    done(machine.resume().await)
}

async fn spec(Named(machine): Named<Machine>) -> ApiResult<Json<vm_spec::VmSpec>> {
    Ok(Json(machine.spec()?))
}

async fn metrics(Named(machine): Named<Machine>) -> ApiResult {
    Ok(plain_text(machine.metrics().await?))
}

async fn events(Named(machine): Named<Machine>) -> Json<Vec<serde_json::Value>> {
    Json(machine.events())
}

async fn log(Named(machine): Named<Machine>) -> ApiResult {
    Ok(plain_text(machine.log()?))
}

async fn console(Named(machine): Named<Machine>) -> ApiResult {
    Ok(plain_text(machine.console()?))
}

fn plain_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
