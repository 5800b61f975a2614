//! Containers that come onto networks and leave them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use bollard_stubs::models::{NetworkConnectRequest, NetworkDisconnectRequest};

use super::super::{ApiResult, JsonBody, Shared};
use super::find;
use crate::container::Container;
use crate::engine::Engine;

/// The container of this name, or the pod: that is on networks as a container is.
fn find_or_pod(engine: &Engine, id: &str) -> ApiResult<Arc<Container>> {
    find(engine, id).or_else(|error| engine.containers.find_pod(id).map_err(|_| error))
}

pub(super) async fn connect(
    State(engine): State<Shared>,
    Path(network): Path<String>,
    JsonBody(body): JsonBody<NetworkConnectRequest>,
) -> ApiResult<StatusCode> {
    let settings = body.endpoint_config.unwrap_or_default();
    find_or_pod(&engine, &body.container)?.connect(&network, settings).await?;
    Ok(StatusCode::OK)
}

pub(super) async fn disconnect(
    State(engine): State<Shared>,
    Path(network): Path<String>,
    JsonBody(body): JsonBody<NetworkDisconnectRequest>,
) -> ApiResult<StatusCode> {
    match find_or_pod(&engine, &body.container) {
        Ok(container) => container.disconnect(&network).await?,
        Err(error) if !body.force.unwrap_or_default() => return Err(error),
        // By force also what is gone.
        Err(_) => drop(engine.networks.detach(&body.container, &network).await),
    }
    Ok(StatusCode::OK)
}
