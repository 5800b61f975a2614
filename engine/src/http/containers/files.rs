//! Files of containers.

use agent_protocol::message::{PathStatus, ReadArchive, WriteArchive};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bollard_stubs::models::FilesystemChange;
use serde_json::json;

use super::super::hijack::body_reader;
use super::super::lines::channel_body;
use super::super::{ApiError, ApiResult, Query, Shared};
use super::find;
use crate::container::files::Access;
use crate::container::moment;

const STATUS: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

fn path_of(query: &Query) -> ApiResult<String> {
    let path = query
        .text("path")
        .ok_or_else(|| ApiError::invalid("bad parameter: \"path\" cannot be empty"))?;
    // Relative paths begin at the root.
    Ok(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

/// A header with what a path is, as JSON in base 64.
fn status_header(status: &PathStatus) -> ApiResult<HeaderValue> {
    let modified = u64::try_from(status.modified_ns).unwrap_or_default();
    let document = json!({
        "name": String::from_utf8_lossy(&status.name),
        "size": status.size,
        "mode": go_mode(status.mode),
        "mtime": moment::shortest(moment::from_nanos(modified)),
        "linkTarget": String::from_utf8_lossy(&status.link_target),
    });
    let text = base64(document.to_string().as_bytes());
    HeaderValue::from_str(&text).map_err(|error| ApiError::internal(error.to_string()))
}

/// `st_mode` as Go counts kinds and special bits.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        0o020_000 => (1 << 26) | (1 << 21),
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, go)| go);
    kind | special.fold(0, |all, go| all | go) | (mode & 0o777)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| {
        let index = usize::try_from(bits & 63).unwrap_or_default();
        char::from(DIGITS.get(index).copied().unwrap_or_default())
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        text.push(digit(bits >> 18));
        text.push(digit(bits >> 12));
        text.push(if chunk.len() > 1 { digit(bits >> 6) } else { '=' });
        text.push(if chunk.len() > 2 { digit(bits) } else { '=' });
    }
    text
}

pub(super) async fn status(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult {
    let path = path_of(&query)?;
    let access = find(&engine, &id)?.access().await?;
    let status = access.status(&path).await;
    access.close().await;
    Ok(([(STATUS, status_header(&status?)?)], ()).into_response())
}

pub(super) async fn read(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult {
    let path = path_of(&query)?;
    let container = find(&engine, &id)?;
    let access = container.access().await?;
    let begun = async {
        let status = access.status(&path).await?;
        let header = status_header(&status)?;
        Ok::<_, ApiError>((header, stream(&access, path.clone(), false).await?))
    }
    .await;
    let (header, command) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            access.close().await;
            return Err(error);
        }
    };
    container.tell("archive-path");
    Ok(([(STATUS, header)], archive(access, command)).into_response())
}

pub(super) async fn export(State(engine): State<Shared>, Path(id): Path<String>) -> ApiResult {
    let container = find(&engine, &id)?;
    let access = container.access().await?;
    match stream(&access, "/".to_owned(), true).await {
        Ok(command) => {
            container.tell("export");
            Ok(archive(access, command))
        }
        Err(error) => {
            access.close().await;
            Err(error)
        }
    }
}

async fn stream(
    access: &Access,
    path: String,
    one_file_system: bool,
) -> ApiResult<crate::agent::Command> {
    let path = path.into_bytes();
    let read = ReadArchive { path, one_file_system, ..ReadArchive::default() };
    Ok(access.read(read).await?)
}

/// An answer that is an archive while it is read.
fn archive(access: Access, command: crate::agent::Command) -> Response {
    let (sink, body) = channel_body();
    tokio::spawn(async move {
        if let Err(error) = access.carry(command, sink).await {
            log::warn!("{}", super::super::error::chain(&error));
        }
        access.close().await;
    });
    ([(header::CONTENT_TYPE, "application/x-tar")], body).into_response()
}

pub(super) async fn write(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
    request: Request,
) -> ApiResult<StatusCode> {
    let path = path_of(&query)?;
    let write = WriteArchive {
        path: path.into_bytes(),
        keep_kinds: query.flag("noOverwriteDirNonDir"),
        keep_owners: query.flag("copyUIDGID"),
        ..WriteArchive::default()
    };
    let container = find(&engine, &id)?;
    let access = container.access().await?;
    let written = access.write(write, body_reader(request.into_body())).await;
    access.close().await;
    written?;
    container.tell("extract-to-dir");
    Ok(StatusCode::OK)
}

pub(super) async fn changes(
    State(engine): State<Shared>,
    Path(id): Path<String>,
) -> ApiResult<Json<Vec<FilesystemChange>>> {
    let access = find(&engine, &id)?.access().await?;
    let changes = access.changes().await;
    access.close().await;
    Ok(Json(changes?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_filled_up() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn modes_are_counted_as_go_does() {
        assert_eq!(go_mode(0o040_755), (1 << 31) | 0o755);
        assert_eq!(go_mode(0o104_755), (1 << 23) | 0o755);
        assert_eq!(go_mode(0o041_777), (1 << 31) | (1 << 20) | 0o777);
        assert_eq!(go_mode(0o100_644), 0o644);
    }
}
