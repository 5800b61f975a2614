//! `/commit`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bollard_stubs::models::ContainerConfig;

use super::super::{ApiError, ApiResult, OptionalJson, Query, Shared};
use super::{Made, find};
use crate::container::commit::CommitRequest;

pub(super) async fn commit(
    State(engine): State<Shared>,
    query: Query,
    OptionalJson(config): OptionalJson<ContainerConfig>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = query.text("container").ok_or_else(|| ApiError::invalid("no container was named"))?;
    let container = find(&engine, id)?;
    let text = |name| query.text(name).unwrap_or_default().to_owned();
    let request = CommitRequest {
        repository: text("repo"),
        tag: text("tag"),
        author: text("author"),
        comment: text("comment"),
        pause: query.flag_or("pause", true),
        changes: query.all("changes").map(str::to_owned).collect(),
        config,
    };
    let id = engine.containers.commit(&container, request).await?;
    Ok((StatusCode::CREATED, Json(Made { id })))
}
