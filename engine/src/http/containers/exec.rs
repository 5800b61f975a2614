//! Commands in containers.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bollard_stubs::models::{ExecConfig, ExecStartConfig};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::super::hijack::Client;
use super::super::multiplex::{Framing, Multiplexer, Output};
use super::super::{ApiError, ApiResult, Hijack, JsonBody, Query, Shared, body, zero_values};
use super::attach::size;
use super::{Made, find};
use crate::container::ContainerError;

/// A command to be made.
#[derive(Deserialize)]
pub(super) struct Create {
    #[serde(flatten)]
    config: ExecConfig,
    /// As docker-py spells it; Docker does not tell cases apart.
    #[serde(rename = "detachKeys")]
    keys: Option<String>,
}

pub(super) async fn create(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    JsonBody(Create { mut config, keys }): JsonBody<Create>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    config.detach_keys = config.detach_keys.or(keys);
    let container = find(&engine, &id)?;
    let id = engine.containers.create_exec(&container, config)?;
    Ok((StatusCode::CREATED, Json(Made { id })))
}

pub(super) async fn start(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> ApiResult {
    let (mut parts, content) = request.into_parts();
    let Ok(hijack) = Hijack::from_request_parts(&mut parts, &()).await;
    let text = body::read(content).await?;
    let config: ExecStartConfig = if text.trim_ascii().is_empty() {
        ExecStartConfig::default()
    } else {
        serde_json::from_slice(&text)
            .map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))?
    };
    let instance = engine.containers.exec(&id)?;
    let detached = config.detach.unwrap_or_default();
    let size = console_size(config.console_size.as_deref());
    let framing = if instance.tty() { Framing::Raw } else { Framing::Multiplexed };
    engine.containers.claim_exec(&instance)?;
    if detached {
        let started = engine.containers.start_exec(&instance, detached, size).await?;
        tokio::spawn(started.detached());
        return Ok(StatusCode::OK.into_response());
    }
    // Only once the answer is on its way, as Docker does: docker-py loses what comes along with it.
    let serve = async move |input, client| match engine
        .containers
        .start_exec(&instance, detached, size)
        .await
    {
        Ok(started) => started.attached(input, client).await,
        Err(error) => tell(framing, client, &error).await,
    };
    Ok(hijack.respond(framing, Body::empty(), serve))
}

/// Tells of a command that did not start in its stream, as clients ask for the exit code after it.
async fn tell(framing: Framing, client: Client, error: &ContainerError) {
    let text = format!("OCI runtime exec failed: {error}\r\n");
    let mut client = Multiplexer::new(framing, client);
    // A client that has gone needs no words.
    let _ = client.write(Output::Stderr, text.as_bytes()).await;
    let _ = client.into_inner().shutdown().await;
}

fn console_size(size: Option<&[usize]>) -> Option<(u16, u16)> {
    let [rows, columns] = size? else { return None };
    let (rows, columns) = (u16::try_from(*rows).ok()?, u16::try_from(*columns).ok()?);
    (rows > 0 && columns > 0).then_some((rows, columns))
}

pub(super) async fn resize(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let (rows, columns) = size(&query)?;
    engine.containers.exec(&id)?.resize(rows, columns).await?;
    Ok(StatusCode::OK)
}

pub(super) async fn inspect(
    State(engine): State<Shared>,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    let mut document = json!(engine.containers.exec(&id)?.document());
    zero_values::in_exec(&mut document);
    Ok(Json(document))
}
