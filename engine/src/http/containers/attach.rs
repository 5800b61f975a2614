//! Attaching, logs and the size of terminals.

use api::detach_keys::DetachKeys;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::super::lines::byte_lines;
use super::super::multiplex::{Framing, frame};
use super::super::{ApiError, ApiResult, ApiVersion, Hijack, Query, Shared};
use super::find;
use crate::container::attach::{AttachOptions, output};
use crate::container::logs::{Entry, Selection};
use crate::container::moment;

pub(super) async fn attach(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
    hijack: Hijack,
    request: Request,
) -> ApiResult {
    let options = AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        logs: query.flag("logs"),
        stream: query.flag("stream"),
        keys: detach_keys(query.text("detachKeys"))?,
    };
    let attachment = find(&engine, &id)?.attach(options)?;
    let framing = attachment.framing();
    let serve = async move |input, client| attachment.serve(input, client).await;
    // A container may say nothing for long.
    Ok(hijack.ending_with_client().respond(framing, request.into_body(), serve))
}

/// The keys that a client names, or else Docker's.
fn detach_keys(text: Option<&str>) -> ApiResult<DetachKeys> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(DetachKeys::default()) };
    let invalid = |_| ApiError::invalid(format!("Invalid detach keys ({text}) provided"));
    text.parse().map_err(invalid)
}

/// Height and width of a terminal.
pub(super) fn size(query: &Query) -> ApiResult<(u16, u16)> {
    let number = |name| query.number::<u16>(name).map(Option::unwrap_or_default);
    Ok((number("h")?, number("w")?))
}

pub(super) async fn resize(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<StatusCode> {
    let (rows, columns) = size(&query)?;
    find(&engine, &id)?.resize(rows, columns).await?;
    Ok(StatusCode::OK)
}

fn moment_of(query: &Query, name: &str) -> ApiResult<Option<time::OffsetDateTime>> {
    // Clients send 0 for none.
    let Some(text) = query.text(name).filter(|text| *text != "0") else { return Ok(None) };
    let invalid = || ApiError::invalid(format!("invalid value of {name}: \"{text}\""));
    moment::parse(text).map(Some).ok_or_else(invalid)
}

fn selection(query: &Query) -> ApiResult<Selection> {
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    // Whatever is no number means all, as with Docker.
    let tail = query.text("tail").and_then(|text| text.parse().ok());
    Ok(Selection {
        stdout,
        stderr,
        since: moment_of(query, "since")?,
        until: moment_of(query, "until")?,
        tail,
        follow: query.flag("follow"),
    })
}

pub(super) async fn logs(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> ApiResult {
    let selection = selection(&query)?;
    let container = find(&engine, &id)?;
    let framing = container.framing();
    let timestamps = query.flag("timestamps");
    let reader = container.streams.log().read(selection).await;
    let mut reader = reader.map_err(|error| match error {
        crate::container::logs::LogError::NotKept => ApiError::unsupported(error.to_string()),
        error => ApiError::from_chain(&error),
    })?;
    let (lines, body) = byte_lines();
    tokio::spawn(async move {
        let gone = lines.clone();
        let reading = async {
            loop {
                match reader.next().await {
                    Ok(Some(entry)) => {
                        let text = shown(&entry, timestamps);
                        let bytes = frame(framing, output(entry.source), text.as_bytes());
                        if lines.send_bytes(bytes).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => return lines.fail(std::io::Error::other(error)).await,
                }
            }
        };
        tokio::select! {
            () = gone.gone() => {}
            () = reading => {}
        }
    });
    Ok(([(header::CONTENT_TYPE, media(framing, version))], body).into_response())
}

fn media(framing: Framing, version: ApiVersion) -> &'static str {
    match framing {
        Framing::Multiplexed if version >= ApiVersion::new(42) => {
            "application/vnd.docker.multiplexed-stream"
        }
        _ => "application/vnd.docker.raw-stream",
    }
}

fn shown(entry: &Entry, timestamps: bool) -> String {
    if timestamps {
        format!("{} {}", moment::fixed(entry.time), entry.text)
    } else {
        entry.text.clone()
    }
}
