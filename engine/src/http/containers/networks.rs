//! Containers that come onto networks and leave them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use bollard_stubs::models::{NetworkConnectRequest, NetworkDisconnectRequest};

use super::super::{ApiResult, JsonBody, Shared};
use super::find;

pub(super) async fn connect(
    State(engine): State<Shared>,
    Path(network): Path<String>,
    JsonBody(body): JsonBody<NetworkConnectRequest>,
) -> ApiResult<StatusCode> {
    let settings = body.endpoint_config.unwrap_or_default();
    find(&engine, &body.container)?.connect(&network, settings).await?;
    Ok(StatusCode::OK)
}

pub(super) async fn disconnect(
    State(engine): State<Shared>,
    Path(network): Path<String>,
    JsonBody(body): JsonBody<NetworkDisconnectRequest>,
) -> ApiResult<StatusCode> {
    match find(&engine, &body.container) {
        Ok(container) => container.disconnect(&network).await?,
        Err(error) if !body.force.unwrap_or_default() => return Err(error),
        // By force also what is gone.
        Err(_) => drop(engine.networks.detach(&body.container, &network).await),
    }
    Ok(StatusCode::OK)
}
