//! `/volumes`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bollard_stubs::models::{
    self, VolumeCreateRequest, VolumeListResponse, VolumePruneResponse, VolumeScopeEnum,
};

use super::{ApiError, ApiResult, ApiVersion, OptionalJson, Query, Shared};
use crate::volume::{LOCAL, Request, Service, Volume};

/// The first version whose clients say so when they mean named volumes too.
const PRUNES_ANONYMOUS: ApiVersion = ApiVersion::new(42);

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/{name}", get(inspect).delete(remove).put(update))
}

/// As Docker shows it.
pub(super) fn document(volumes: &Service, volume: Volume) -> models::Volume {
    models::Volume {
        mountpoint: volumes.mountpoint(&volume).display().to_string(),
        name: volume.name,
        driver: LOCAL.to_owned(),
        created_at: Some(volume.created),
        status: None,
        labels: volume.labels,
        scope: Some(VolumeScopeEnum::LOCAL),
        cluster_volume: None,
        options: volume.options,
        usage_data: None,
    }
}

async fn create(
    State(engine): State<Shared>,
    OptionalJson(body): OptionalJson<VolumeCreateRequest>,
) -> ApiResult<(StatusCode, Json<models::Volume>)> {
    let body = body.unwrap_or_default();
    if body.cluster_volume_spec.is_some() {
        return Err(ApiError::unsupported("cluster volumes are not supported by this engine"));
    }
    let request = Request {
        name: body.name.filter(|name| !name.is_empty()),
        driver: body.driver.unwrap_or_default(),
        options: body.driver_opts.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
    };
    let volume = engine.volumes.create(request).await?;
    Ok((StatusCode::CREATED, Json(document(&engine.volumes, volume))))
}

async fn list(State(engine): State<Shared>, query: Query) -> ApiResult<Json<VolumeListResponse>> {
    let filters = query.filters(&["dangling", "driver", "label", "name"])?;
    let dangling = filters.flag("dangling")?;
    let mut all = Vec::new();
    for (volume, used) in engine.volumes.list().await {
        let shown = dangling.is_none_or(|dangling| dangling != used)
            && filters.exact("driver", LOCAL)
            && filters.labels("label", &volume.labels)
            && filters.patterns("name").fit(&volume.name);
        if shown {
            all.push(document(&engine.volumes, volume));
        }
    }
    Ok(Json(VolumeListResponse { volumes: Some(all), warnings: None }))
}

async fn inspect(
    State(engine): State<Shared>,
    Path(name): Path<String>,
) -> ApiResult<Json<models::Volume>> {
    let volume = engine.volumes.get(&name).await?;
    Ok(Json(document(&engine.volumes, volume)))
}

async fn remove(
    State(engine): State<Shared>,
    Path(name): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    match engine.volumes.remove(&name).await {
        Err(crate::volume::VolumeError::NotFound(_)) if query.flag("force") => {}
        removed => removed?,
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn update() -> ApiError {
    ApiError::unavailable("This node is not a swarm manager. Only cluster volumes can be updated.")
}

async fn prune(
    State(engine): State<Shared>,
    version: ApiVersion,
    query: Query,
) -> ApiResult<Json<VolumePruneResponse>> {
    let filters = query.filters(&["all", "label", "label!"])?;
    let all = filters.flag("all")?.unwrap_or(version < PRUNES_ANONYMOUS);
    let chosen =
        |volume: &Volume| (all || volume.anonymous()) && filters.labels_for_prune(&volume.labels);
    let pruned = engine.volumes.prune(chosen).await?;
    Ok(Json(VolumePruneResponse {
        volumes_deleted: Some(pruned.names),
        space_reclaimed: i64::try_from(pruned.reclaimed).ok(),
    }))
}
