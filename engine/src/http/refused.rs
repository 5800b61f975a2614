//! What Docker's daemon does and this engine does not, each with an answer that says so.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get, post};

use super::{ApiError, Shared};

pub(super) fn routes() -> Router<Shared> {
    let mut routes = Router::new()
        .route("/swarm/init", any(no_swarm))
        .route("/swarm/join", any(no_swarm))
        .route("/build", post(no_build))
        .route("/build/cancel", post(no_build))
        .route("/build/prune", post(nothing_built))
        .route("/session", post(no_build))
        .route("/grpc", post(no_build))
        .route("/images/search", get(no_search))
        .route("/plugins", get(no_plugins_yet))
        .route("/plugins/{*rest}", any(no_plugins));
    for kind in ["swarm", "nodes", "services", "tasks", "secrets", "configs"] {
        routes = routes.route(&format!("/{kind}"), any(not_a_manager));
        if kind != "swarm" {
            routes = routes.route(&format!("/{kind}/{{*rest}}"), any(not_a_manager));
        }
    }
    for verb in ["leave", "update", "unlockkey", "unlock"] {
        routes = routes.route(&format!("/swarm/{verb}"), any(not_in_swarm));
    }
    routes
}

async fn not_a_manager() -> ApiError {
    ApiError::unavailable(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
         connect this node to swarm and try again.",
    )
}

async fn not_in_swarm() -> ApiError {
    ApiError::unavailable("This node is not part of a swarm")
}

async fn no_swarm() -> ApiError {
    ApiError::unsupported("swarm mode is not supported by this engine")
}

async fn no_build() -> ApiError {
    ApiError::unsupported(
        "building images is not supported by this engine: build them elsewhere (docker buildx, \
         podman build, kaniko) and bring them with docker pull, or with docker load and an archive \
         of docker save; docker commit makes one of a container",
    )
}

/// Nothing is kept of what was never built; `docker system prune` asks.
async fn nothing_built() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({ "CachesDeleted": [], "SpaceReclaimed": 0 }))
}

async fn no_search() -> ApiError {
    ApiError::unsupported("searching registries is not supported by this engine")
}

/// There are none, which is true.
async fn no_plugins_yet() -> axum::Json<[u8; 0]> {
    axum::Json([])
}

async fn no_plugins() -> ApiError {
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "plugins are not supported by this engine")
}
