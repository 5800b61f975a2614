//! Images to and from registries, with progress as Docker's clients show it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use bollard_stubs::models::{AuthResponse, DistributionInspect, OciDescriptor, OciPlatform};
use image::registry::{Credentials, Observer, Phase, Progress, PullOptions, RegistryError};
use image::{Image, Platform, Reference};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::lines::{Gone, Lines, json_lines};
use super::super::{ApiError, ApiResult, Query, Shared, body};
use super::reference;
use crate::image_service::ImageError;

/// Steps that wait for the client; what it does not read in time is not shown.
const STEPS: usize = 1024;

/// `POST /images/create`: pull, or import.
pub(super) async fn create(
    State(engine): State<Shared>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> ApiResult {
    let Some(from) = query.text("fromImage") else {
        return super::archive::import(engine, &query, body).await;
    };
    // All tags of a repository may be asked for by a colon without one.
    let from = from.strip_suffix(':').unwrap_or(from);
    let tag = query.text("tag").unwrap_or_default();
    let name = reference(from, tag)?;
    let all = is_repository(from, tag);
    let platform = match query.text("platform") {
        Some(text) => Some(platform(text)?),
        None => None,
    };
    let credentials = credentials(&headers);
    let (observer, steps) = observer();
    let mut first = json!({ "status": format!("Pulling from {}", name.repository()) });
    if !all {
        first["id"] = name.wanted().into();
    }
    let pulling = async move {
        let options = PullOptions { platform, credentials, observer };
        let names = match all {
            true => engine.images.names(&name, options.credentials.clone()).await?,
            false => vec![name],
        };
        let mut lines = Vec::new();
        for name in names {
            let pulled = engine.images.pull(&name, options.clone()).await?;
            let outcome = match pulled.up_to_date {
                true => "Image is up to date for",
                false => "Downloaded newer image for",
            };
            lines.push(json!({ "status": format!("Digest: {}", pulled.digest) }));
            lines.push(json!({ "status": format!("Status: {outcome} {}", name.familiar()) }));
        }
        Ok(lines)
    };
    stream(first, steps, pulling).await
}

pub(super) async fn push(
    engine: &Shared,
    name: &str,
    query: &Query,
    headers: &HeaderMap,
) -> ApiResult {
    let (path, tag) = (name, query.text("tag").unwrap_or_default());
    let name = reference(path, tag)?;
    let names = match is_repository(path, tag) {
        true => tags_of(engine, &name)?,
        false => vec![name.clone()],
    };
    let credentials = credentials(headers);
    let (observer, steps) = observer();
    let first = json!({
        "status": format!("The push refers to repository [{}]", name.name()),
    });
    let engine = Shared::clone(engine);
    let pushing = async move {
        let mut lines = Vec::new();
        for name in names {
            let (credentials, observer) = (credentials.clone(), observer.clone());
            let pushed = engine.images.push(&name, credentials, observer).await?;
            let (tag, digest, size) = (name.wanted(), pushed.digest.to_string(), pushed.size);
            lines.push(json!({ "status": format!("{tag}: digest: {digest} size: {size}") }));
            lines.push(json!({
                "progressDetail": {},
                "aux": { "Tag": tag, "Digest": digest, "Size": size },
            }));
        }
        Ok(lines)
    };
    stream(first, steps, pushing).await
}

/// Whether a name without a tag and a digest is meant, which is a repository with all that it has.
fn is_repository(name: &str, tag: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    tag.is_empty() && !last.contains([':', '@'])
}

/// The names that images have here in the repository of `name`.
fn tags_of(engine: &Shared, name: &Reference) -> ApiResult<Vec<Reference>> {
    let images = engine.images.store().images();
    let all = images.iter().flat_map(Image::tags).filter(|tag| tag.name() == name.name());
    let mut all: Vec<_> = all.cloned().collect();
    all.sort_unstable();
    if all.is_empty() {
        return Err(ApiError::not_found(format!(
            "An image does not exist locally with the tag: {}",
            name.familiar_name()
        )));
    }
    Ok(all)
}

/// `GET /distribution/NAME/json`.
pub(super) async fn look(
    State(engine): State<Shared>,
    Path(rest): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Json<DistributionInspect>> {
    let name = rest.strip_suffix("/json").ok_or_else(|| ApiError::not_found("page not found"))?;
    let found = engine.images.look(&reference(name, "")?, credentials(&headers)).await?;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let platforms = found.platforms.into_iter().map(|platform| OciPlatform {
        architecture: Some(platform.architecture),
        os: Some(platform.os),
        os_version: text(platform.os_version),
        os_features: None,
        variant: text(platform.variant),
    });
    Ok(Json(DistributionInspect {
        descriptor: OciDescriptor {
            media_type: Some(found.media_type),
            digest: Some(found.digest.to_string()),
            size: i64::try_from(found.size).ok(),
            ..OciDescriptor::default()
        },
        platforms: platforms.collect(),
    }))
}

fn observer() -> (Observer, mpsc::Receiver<Progress>) {
    let (sender, steps) = mpsc::channel(STEPS);
    let observer = Observer::new(move |progress| {
        // The transfer does not wait for whoever watches it.
        let _ = sender.try_send(progress);
    });
    (observer, steps)
}

/// Answers with `first` and the steps of `transfer`, and what it says at its end. It is dropped
/// when the client goes away. If it fails before its first step that is the answer.
async fn stream<F>(first: Value, mut steps: mpsc::Receiver<Progress>, transfer: F) -> ApiResult
where
    F: Future<Output = ApiResult<Vec<Value>>> + Send + 'static,
{
    let mut transfer = Box::pin(transfer);
    let mut outcome = None;
    let step = tokio::select! {
        biased;
        // Where there will be none the transfer has ended, and its outcome is the answer.
        Some(step) = steps.recv() => Some(step),
        done = &mut transfer => {
            outcome = Some(Ok(done?));
            None
        }
    };
    let (lines, response) = json_lines();
    tokio::spawn(async move {
        let left = lines.clone();
        let telling = async move {
            lines.send(&first).await?;
            if let Some(step) = step {
                lines.send(&document(&step)).await?;
            }
            let outcome = match outcome {
                Some(outcome) => outcome,
                None => tell_steps(&lines, &mut steps, transfer).await?,
            };
            // What was told at the very end of the transfer.
            while let Ok(step) = steps.try_recv() {
                lines.send(&document(&step)).await?;
            }
            match outcome {
                Ok(last) => {
                    for line in last {
                        lines.send(&line).await?;
                    }
                }
                Err(error) => lines.send(&failure(&error)).await?,
            }
            Ok::<(), Gone>(())
        };
        tokio::select! {
            () = left.gone() => {}
            _ = telling => {}
        }
    });
    Ok(response)
}

async fn tell_steps<F>(
    lines: &Lines,
    steps: &mut mpsc::Receiver<Progress>,
    mut transfer: std::pin::Pin<Box<F>>,
) -> Result<ApiResult<Vec<Value>>, Gone>
where
    F: Future<Output = ApiResult<Vec<Value>>>,
{
    loop {
        tokio::select! {
            Some(step) = steps.recv() => lines.send(&document(&step)).await?,
            done = &mut transfer => return Ok(done),
        }
    }
}

/// An error after the head was answered.
pub(super) fn failure(error: &ApiError) -> Value {
    json!({ "errorDetail": { "message": error.message() }, "error": error.message() })
}

fn document(progress: &Progress) -> Value {
    let id: String = progress.layer.hex().chars().take(12).collect();
    let bytes = |current: u64, total: u64| json!({ "current": current, "total": total });
    let (status, detail) = match progress.phase {
        Phase::Pulling => ("Pulling fs layer".to_owned(), json!({})),
        Phase::Waiting => ("Waiting".to_owned(), json!({})),
        Phase::Downloading { current, total } => ("Downloading".to_owned(), bytes(current, total)),
        Phase::Retrying(pause) => {
            (format!("Retrying in {} seconds", pause.as_secs().max(1)), json!({}))
        }
        Phase::Extracting => ("Extracting".to_owned(), json!({})),
        Phase::Done => ("Pull complete".to_owned(), json!({})),
        Phase::Exists => ("Already exists".to_owned(), json!({})),
        Phase::Preparing => ("Preparing".to_owned(), json!({})),
        Phase::Pushing { current, total } => ("Pushing".to_owned(), bytes(current, total)),
        Phase::Mounted => ("Mounted from another repository".to_owned(), json!({})),
        Phase::Pushed => ("Pushed".to_owned(), json!({})),
    };
    json!({ "status": status, "progressDetail": detail, "id": id })
}

/// What cannot be read is nobody, as with Docker: it is the registry that refuses.
fn credentials(headers: &HeaderMap) -> Credentials {
    let value = headers.get("x-registry-auth").and_then(|value| value.to_str().ok());
    Credentials::from_header(value.unwrap_or_default()).unwrap_or_else(|error| {
        log::warn!("X-Registry-Auth is ignored: {error}");
        Credentials::Anonymous
    })
}

pub(super) fn platform(text: &str) -> ApiResult<Platform> {
    text.parse().map_err(|error: image::InvalidPlatform| ApiError::invalid(error.to_string()))
}

/// `POST /auth`.
pub(super) async fn auth(
    State(engine): State<Shared>,
    body: Body,
) -> ApiResult<Json<AuthResponse>> {
    let bytes = body::read(body).await?;
    let credentials = Credentials::from_json(&bytes)
        .map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))?;
    let address: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let address = address["serveraddress"].as_str().or_else(|| address["ServerAddress"].as_str());
    let registry = registry(address.unwrap_or_default());
    engine.images.login(&registry, credentials).await.map_err(|error| match error {
        ImageError::Registry(RegistryError::Denied { .. }) => {
            let text = format!("login attempt to {registry} failed: {error}");
            ApiError::new(StatusCode::UNAUTHORIZED, text)
        }
        error => ApiError::from(error),
    })?;
    let status = "Login Succeeded".to_owned();
    Ok(Json(AuthResponse { status, identity_token: Some(String::new()) }))
}

/// The registry of an address as clients keep it: `https://index.docker.io/v1/` is Docker Hub.
fn registry(address: &str) -> String {
    let bare = address.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or_default();
    match host {
        "" | "index.docker.io" | "registry-1.docker.io" => image::DEFAULT_REGISTRY.to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use image::Digest;

    use super::*;

    #[test]
    fn addresses_of_clients_lead_to_their_registries() {
        assert_eq!(registry("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(registry(""), "docker.io");
        assert_eq!(registry("http://localhost:5000/v2/"), "localhost:5000");
        assert_eq!(registry("registry.example"), "registry.example");
    }

    #[test]
    fn names_without_a_tag_are_repositories() {
        assert!(is_repository("localhost:5000/app", ""));
        for (name, tag) in [("app", "1"), ("app:1", ""), ("app@sha256:0", "")] {
            assert!(!is_repository(name, tag), "{name} {tag}");
        }
    }

    #[test]
    fn credentials_that_cannot_be_read_are_nobody_s() {
        let of = |value: &'static str| {
            let value = axum::http::HeaderValue::from_static(value);
            credentials(&HeaderMap::from_iter([(
                HeaderName::from_static("x-registry-auth"),
                value,
            )]))
        };
        assert_eq!(of("what is this"), Credentials::Anonymous);
        assert_eq!(of("e30="), Credentials::Anonymous);
        assert_eq!(credentials(&HeaderMap::new()), Credentials::Anonymous);
    }

    #[tokio::test]
    async fn failure_before_the_first_step_is_the_answer() {
        let (_, steps) = mpsc::channel(1);
        let failing = async { Err(ApiError::not_found("no such thing")) };
        let error = stream(json!({}), steps, failing).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn failure_after_a_step_is_in_the_stream() {
        let (sender, steps) = mpsc::channel(1);
        let layer = Digest::of(b"layer");
        sender.try_send(Progress { layer, phase: Phase::Pulling }).unwrap();
        let failing = async { Err(ApiError::internal("broken off")) };
        let response = stream(json!({ "status": "first" }), steps, failing).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let lines: Vec<Value> = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines[0]["status"], "first");
        assert_eq!(lines[1]["status"], "Pulling fs layer");
        assert_eq!(lines[2]["errorDetail"]["message"], "broken off");
        let _ = sender;
    }
}
