//! From start to remove.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bollard_stubs::models::{
    ContainerUpdateBody, ContainerUpdateResponse, ContainerWaitExitError, ContainerWaitResponse,
};
use futures_util::stream;

use super::super::{ApiError, ApiResult, JsonBody, Query, Shared};
use super::find;
use crate::container::life::{RemoveOptions, WaitCondition};
use crate::container::spec::signal;

pub(super) async fn start(
    State(engine): State<Shared>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let container = find(&engine, &id)?;
    container.start().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn stop(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let (signal, timeout) = ending(&query)?;
    let container = find(&engine, &id)?;
    container.stop(signal, timeout).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn restart(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let (signal, timeout) = ending(&query)?;
    let container = find(&engine, &id)?;
    container.restart(signal, timeout).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A signal, and a time in which nothing means for ever.
type Ending = (Option<u32>, Option<Option<Duration>>);

fn ending(query: &Query) -> ApiResult<Ending> {
    let signal = query.text("signal").map(parse_signal).transpose()?;
    let timeout = query.number::<i64>("t")?;
    let timeout = timeout.map(|seconds| u64::try_from(seconds).ok().map(Duration::from_secs));
    Ok((signal, timeout))
}

fn parse_signal(text: &str) -> ApiResult<u32> {
    signal::parse(text).map_err(|error| ApiError::invalid(error.to_string()))
}

pub(super) async fn kill(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let signal = query.text("signal").map(parse_signal).transpose()?.unwrap_or(signal::KILL);
    let container = find(&engine, &id)?;
    container.kill(signal).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(
    State(engine): State<Shared>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    find(&engine, &id)?.pause().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn unpause(
    State(engine): State<Shared>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    find(&engine, &id)?.unpause().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let container = find(&engine, &id)?;
    let name = query.text("name").unwrap_or_default();
    engine.containers.rename(&container, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn update(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ContainerUpdateBody>,
) -> ApiResult<Json<ContainerUpdateResponse>> {
    let warnings = find(&engine, &id)?.update(body).await?;
    Ok(Json(ContainerUpdateResponse { warnings: Some(warnings) }))
}

pub(super) async fn remove(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    if query.flag("link") {
        return Err(ApiError::unsupported("links between containers are not supported"));
    }
    let options = RemoveOptions { volumes: query.flag("v"), force: query.flag("force") };
    let container = find(&engine, &id)?;
    let execs = engine.containers.clone();
    execs.remove(&container, options).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The head is answered at once, so that a client knows that it waits before it starts the
/// container; the body comes with the end.
pub(super) async fn wait(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult {
    let condition = WaitCondition::parse(query.text("condition"))?;
    let waiting = find(&engine, &id)?.wait(condition);
    let body = stream::once(async move {
        let waited = waiting.await;
        let error = waited.error.map(|message| ContainerWaitExitError { message: Some(message) });
        let answer = ContainerWaitResponse { status_code: waited.code, error };
        serde_json::to_vec(&answer).map(Bytes::from).map_err(std::io::Error::other)
    });
    let media = [(header::CONTENT_TYPE, "application/json")];
    Ok((media, Body::from_stream(body)).into_response())
}
