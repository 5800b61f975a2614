//! `/images`.
//!
//! Names of images have slashes in them, so what comes after one is found from the path's end.

mod archive;
mod document;
mod list;
mod transfer;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use bollard_stubs::models::{ImageDeleteResponseItem, ImagePruneResponse};
use image::Reference;
use image::store::{RemoveOptions, Removed};

pub(super) use self::list::summaries;
use super::{ApiError, ApiResult, ApiVersion, Query, Shared, older_versions};
use crate::image_service::{ImageError, user_of};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/images/json", get(list::list))
        .route("/images/create", post(transfer::create))
        .route("/images/get", get(save))
        .route("/images/load", post(load))
        .route("/images/prune", post(prune))
        .route("/images/{*rest}", get(look).post(change).delete(remove))
        .route("/auth", post(transfer::auth))
        .route("/distribution/{*rest}", get(transfer::look))
}

async fn look(
    State(engine): State<Shared>,
    version: ApiVersion,
    Path(rest): Path<String>,
) -> ApiResult {
    let find = |name: &str| engine.images.store().find(name).map_err(ImageError::from);
    if let Some(name) = rest.strip_suffix("/json") {
        let mut document = document::inspect(&find(name)?);
        older_versions::image(&mut document, version);
        return Ok(Json(document).into_response());
    }
    if let Some(name) = rest.strip_suffix("/history") {
        return Ok(Json(document::history(&find(name)?)).into_response());
    }
    if let Some(name) = rest.strip_suffix("/get") {
        return archive::save(&engine, vec![name.to_owned()]).await;
    }
    Err(ApiError::not_found("page not found"))
}

async fn change(
    State(engine): State<Shared>,
    Path(rest): Path<String>,
    query: Query,
    headers: axum::http::HeaderMap,
) -> ApiResult {
    if let Some(name) = rest.strip_suffix("/tag") {
        return tag(&engine, name, &query).map(IntoResponse::into_response);
    }
    if let Some(name) = rest.strip_suffix("/push") {
        return transfer::push(&engine, name, &query, &headers).await;
    }
    Err(ApiError::not_found("page not found"))
}

fn tag(engine: &Shared, name: &str, query: &Query) -> ApiResult<StatusCode> {
    let repository = query.text("repo").unwrap_or_default();
    let name_to_give = reference(repository, query.text("tag").unwrap_or_default())?;
    engine.images.tag(name, &name_to_give)?;
    Ok(StatusCode::CREATED)
}

/// A repository and a tag, or a digest in its place, as queries have them.
fn reference(repository: &str, tag: &str) -> ApiResult<Reference> {
    let text = match tag {
        "" => repository.to_owned(),
        tag if tag.contains(':') => format!("{repository}@{tag}"),
        tag => format!("{repository}:{tag}"),
    };
    text.parse().map_err(|error| ApiError::from(ImageError::Name(error)))
}

async fn save(State(engine): State<Shared>, query: Query) -> ApiResult {
    let names = query.all("names").flat_map(|names| names.split(','));
    archive::save(&engine, names.filter(|name| !name.is_empty()).map(str::to_owned).collect()).await
}

async fn load(State(engine): State<Shared>, query: Query, body: Body) -> ApiResult {
    archive::load(engine, &query, body).await
}

async fn remove(
    State(engine): State<Shared>,
    Path(name): Path<String>,
    query: Query,
) -> ApiResult<Json<Vec<ImageDeleteResponseItem>>> {
    let options = RemoveOptions { force: query.flag("force"), keep_parents: query.flag("noprune") };
    let removed = blocking(move || {
        engine.images.remove(&name, options, &|image| user_of(&engine.containers, image))
    });
    Ok(Json(removed.await?.into_iter().map(item).collect()))
}

async fn prune(State(engine): State<Shared>, query: Query) -> ApiResult<Json<ImagePruneResponse>> {
    let filters = query.filters(&["dangling", "label", "label!", "until"])?;
    let all = filters.flag("dangling")? == Some(false);
    let until = filters.until()?;
    let report = blocking(move || {
        let chosen = |image: &image::Image| {
            until.is_none_or(|until| image.created_seconds() <= until.unix_timestamp())
                && filters.labels_for_prune(&document::labels(image))
        };
        engine.images.prune(all, &chosen, &|image| user_of(&engine.containers, image))
    });
    let report = report.await?;
    Ok(Json(ImagePruneResponse {
        images_deleted: Some(report.removed.into_iter().map(item).collect()),
        space_reclaimed: i64::try_from(report.reclaimed).ok(),
    }))
}

/// Whether an image that is here is made for a platform. Clients pull what is not found.
pub(super) fn check_platform(engine: &Shared, name: &str, platform: &str) -> ApiResult<()> {
    let wanted = transfer::platform(platform)?;
    let Ok(image) = engine.images.store().find(name) else { return Ok(()) };
    let actual = image.config().platform();
    if actual.serves(&wanted) {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "image with reference {name} was found but does not match the specified platform: wanted \
         {wanted}, actual: {actual}"
    )))
}

fn item(removed: Removed) -> ImageDeleteResponseItem {
    match removed {
        Removed::Untagged(name) => ImageDeleteResponseItem { untagged: Some(name), deleted: None },
        Removed::Deleted(digest) => {
            ImageDeleteResponseItem { untagged: None, deleted: Some(digest) }
        }
    }
}

/// The store writes to the disk.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> ApiResult<T> {
    let done = tokio::task::spawn_blocking(act).await;
    Ok(done.map_err(|_| ApiError::unavailable("the engine is ending"))??)
}
