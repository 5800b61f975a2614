//! Images in and out of archives.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header;
use axum::response::IntoResponse;
use image::archive::{ArchiveError, Import, apply_change};
use image::config::ContainerConfig;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;

use super::super::error::chain;
use super::super::hijack::body_reader;
use super::super::lines::{Gone, Lines, byte_lines, json_lines};
use super::super::{ApiError, ApiResult, Query, Shared};
use super::reference;
use super::transfer::failure;
use crate::image_service::ImageError;

/// Bytes of an archive that are sent at once.
const CHUNK: usize = 256 << 10;

/// Between two reports of how much of an archive was read.
const REPORT: Duration = Duration::from_millis(200);

/// A request's body, for those who block. It counts what it has read.
struct BlockingReader<R> {
    reader: R,
    runtime: Handle,
    read: Arc<AtomicU64>,
}

impl<R: AsyncRead + Unpin> Read for BlockingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.runtime.block_on(self.reader.read(buffer))?;
        self.read.fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
        Ok(length)
    }
}

/// An answer's body, for those who block.
struct BlockingWriter {
    lines: Lines,
    runtime: Handle,
}

impl Write for BlockingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sending = self.lines.send_bytes(Bytes::copy_from_slice(bytes));
        self.runtime.block_on(sending).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refused(error: ArchiveError) -> ApiError {
    match error {
        ArchiveError::Store(error) => ImageError::Store(error).into(),
        ArchiveError::Write(_) => ApiError::from_chain(&error),
        _ => ApiError::invalid(chain(&error)),
    }
}

/// Runs what blocks; an engine that ends breaks it off.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> ApiResult<T> {
    let done = tokio::task::spawn_blocking(act).await;
    done.map_err(|_| ApiError::unavailable("the engine is ending"))?.map_err(refused)
}

/// How much of an archive was read, of all if the client said how much that is.
fn read_so_far(read: u64, size: Option<u64>) -> serde_json::Value {
    let mut detail = json!({ "current": read });
    if let Some(size) = size {
        detail["total"] = size.into();
    }
    json!({ "status": "Loading", "id": "archive", "progressDetail": detail })
}

/// Tells how far `loading` is, until it has come to its end.
async fn report<T>(
    lines: &Lines,
    read: &AtomicU64,
    size: Option<u64>,
    loading: impl Future<Output = T>,
) -> Result<T, Gone> {
    tokio::pin!(loading);
    let mut told = 0;
    loop {
        if let Ok(done) = tokio::time::timeout(REPORT, &mut loading).await {
            return Ok(done);
        }
        let now = read.load(Ordering::Relaxed);
        if now != told {
            told = now;
            lines.send(&read_so_far(now, size)).await?;
        }
    }
}

/// `POST /images/load`. Whether it is an image turns out at the archive's end.
pub(super) async fn load(engine: Shared, query: &Query, body: Body) -> ApiResult {
    let quiet = query.flag("quiet");
    let store = engine.images.store().clone();
    let (read, size) = (Arc::new(AtomicU64::new(0)), body.size_hint().exact());
    let runtime = Handle::current();
    let reader = BlockingReader { reader: body_reader(body), runtime, read: Arc::clone(&read) };
    let loading = blocking(move || store.load(reader));
    let (lines, response) = json_lines();
    tokio::spawn(async move {
        let loaded = match quiet {
            true => loading.await,
            false => report(&lines, &read, size, loading).await?,
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return lines.send(&failure(&error)).await,
        };
        for image in loaded {
            let id = image.id.to_string();
            let mut names: Vec<_> = image.names.iter().map(image::Reference::familiar).collect();
            for name in &names {
                engine.images.tell("load", &id, name);
            }
            if names.is_empty() {
                engine.images.tell("load", &id, &id);
            }
            let word = if names.is_empty() { "Loaded image ID: " } else { "Loaded image: " };
            if names.is_empty() {
                names.push(id);
            }
            for name in names {
                lines.send(&json!({ "stream": format!("{word}{name}\n") })).await?;
            }
        }
        Ok(())
    });
    Ok(response)
}

/// `POST /images/create?fromSrc=-`: the body is a file system.
pub(super) async fn import(engine: Shared, query: &Query, body: Body) -> ApiResult {
    if !matches!(query.text("fromSrc"), None | Some("-")) {
        return Err(ApiError::unsupported(
            "importing from a URL is not supported by this engine: download the file first",
        ));
    }
    let name = match query.text("repo") {
        Some(repository) => Some(reference(repository, query.text("tag").unwrap_or_default())?),
        None => None,
    };
    let mut config = ContainerConfig::default();
    for change in query.all("changes").flat_map(|changes| changes.split('\n')) {
        if !change.trim().is_empty() {
            apply_change(&mut config, change)
                .map_err(|error| ApiError::invalid(error.to_string()))?;
        }
    }
    let message = query.text("message").unwrap_or_default().to_owned();
    let platform = match query.text("platform") {
        Some(text) => Some(super::transfer::platform(text)?),
        None => None,
    };
    let shown = name.as_ref().map(image::Reference::familiar);
    let import = Import { name, message, config, platform };
    let store = engine.images.store().clone();
    let (runtime, read) = (Handle::current(), Arc::default());
    let reader = BlockingReader { reader: body_reader(body), runtime, read };
    let id = blocking(move || store.import(reader, &import)).await?.to_string();
    engine.images.tell("import", &id, shown.as_deref().unwrap_or(&id));
    let (lines, response) = json_lines();
    // The channel has room for one line.
    let _ = lines.send(&json!({ "status": id })).await;
    Ok(response)
}

/// `GET /images/NAME/get`, and of several.
pub(super) async fn save(engine: &Shared, names: Vec<String>) -> ApiResult {
    if names.is_empty() {
        return Err(ApiError::invalid("no images were named"));
    }
    for name in &names {
        // A repository without a tag means all of its images; what is missing is found later.
        let known = engine.images.store().find(name);
        if let (Err(error), true) = (known, names.len() == 1) {
            let of_repository = engine.images.store().images();
            let has =
                |image: &image::Image| image.tags().iter().any(|tag| tag.familiar_name() == *name);
            if !of_repository.iter().any(has) {
                return Err(ImageError::Store(error).into());
            }
        }
    }
    let (lines, body) = byte_lines();
    let store = engine.images.store().clone();
    let (writer, runtime) = (lines.clone(), Handle::current());
    let saving = tokio::task::spawn_blocking(move || {
        let writer = BlockingWriter { lines: writer, runtime };
        let writer = io::BufWriter::with_capacity(CHUNK, writer);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        store.save(&names, writer)
    });
    tokio::spawn(async move {
        let failed = match saving.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(error) => error.to_string(),
        };
        log::warn!("saving images: {failed}");
        lines.fail(io::Error::other(failed)).await;
    });
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], body).into_response())
}
