//! `/_ping`, `/version`, `/info`, `/system/df`.

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use bollard_stubs::models::{SystemInfo, SystemVersion};
use serde_json::{Value, json};

use super::{ApiError, ApiResult, ApiVersion, Query, Shared, images, volumes};
use crate::container::record::Phase;
use crate::system::Counts;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(info))
        .route("/system/df", get(usage))
}

/// Clients learn the version of the API from the headers that all answers have.
async fn ping() -> impl IntoResponse {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (HeaderName::from_static("swarm"), "inactive"),
    ];
    (headers, "OK")
}

async fn version(State(engine): State<Shared>) -> Json<SystemVersion> {
    Json(engine.system.version(ApiVersion::NEWEST, ApiVersion::OLDEST))
}

async fn info(State(engine): State<Shared>) -> Json<SystemInfo> {
    let mut counts = Counts {
        images: engine.images.store().images().len(),
        listeners: engine.events.listeners(),
        ..Counts::default()
    };
    for container in engine.containers.all() {
        match container.phase() {
            Phase::Running | Phase::Restarting => counts.running += 1,
            Phase::Paused => counts.paused += 1,
            _ => counts.stopped += 1,
        }
    }
    Json(engine.system.info(counts))
}

/// What everything takes on the disk, in the form before and the form since version 1.52.
async fn usage(State(engine): State<Shared>, query: Query) -> ApiResult<Json<Value>> {
    let wanted = |kind: &str| !query.has("type") || query.all("type").any(|one| one == kind);
    let mut document = json!({});
    if wanted("image") {
        let engine = Shared::clone(&engine);
        let looking = tokio::task::spawn_blocking(move || {
            (images::summaries(&engine), engine.images.store().usage().layers)
        });
        let (images, size) =
            looking.await.map_err(|_| ApiError::unavailable("the engine is ending"))?;
        let active = images.iter().filter(|image| image.containers > 0).count();
        document["ImageUsage"] = summary(images.len(), active, size);
        document["LayersSize"] = json!(size);
        document["Images"] = json!(images);
    }
    if wanted("container") {
        let (mut all, mut active, mut size) = (Vec::new(), 0, 0_i64);
        for container in engine.containers.all() {
            let mut one = json!(container.summary().await);
            let written = container.disk_usage();
            one["SizeRw"] = json!(written);
            one["SizeRootFs"] = json!(container.root_size());
            size = size.saturating_add(written);
            active += usize::from(container.phase().is_up());
            all.push(one);
        }
        document["ContainerUsage"] = summary(all.len(), active, size.unsigned_abs());
        document["Containers"] = json!(all);
    }
    if wanted("volume") {
        let all = engine.volumes.usage().await;
        let active = all.iter().filter(|usage| usage.users > 0).count();
        let size = all.iter().map(|usage| usage.size).sum();
        document["VolumeUsage"] = summary(all.len(), active, size);
        let volumes = all.into_iter().map(|usage| {
            let mut one = json!(volumes::document(&engine.volumes, usage.volume));
            one["UsageData"] = json!({ "Size": usage.size, "RefCount": usage.users });
            one
        });
        document["Volumes"] = volumes.collect();
    }
    if wanted("build-cache") {
        document["BuildCacheUsage"] = summary(0, 0, 0);
        document["BuildCache"] = json!([]);
    }
    Ok(Json(document))
}

fn summary(total: usize, active: usize, size: u64) -> Value {
    json!({ "TotalCount": total, "ActiveCount": active, "TotalSize": size })
}
