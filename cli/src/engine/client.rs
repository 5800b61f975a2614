//! Requests to the engine: HTTP over its unix socket, a connection for each.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// The version of Docker's API that the commands are written for.
pub(crate) const API_VERSION: &str = "1.47";

/// Where it is.
const API: &str = "/v1.47";

/// The most of an error's body that is looked at.
const MAX_ERROR: usize = 64 << 10;

/// Something went wrong between this command and the engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("Failed to connect to the engine at {}", socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    #[error("Failed to ask the engine for {path}")]
    Request { path: String, source: hyper::Error },
    /// What the engine says is said as it is.
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    #[error("The engine's answer to {path} is not what was expected")]
    Answer { path: String, source: serde_json::Error },
    #[error("The engine does not give a stream for {path}: {status}")]
    NoStream { path: String, status: StatusCode },
}

impl EngineError {
    /// Whether the engine answered with this status.
    pub(crate) fn is(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }
}

/// What a request carries.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// A body that is at hand.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body that is made while it is sent.
pub(crate) fn flowing(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static,
) -> Body {
    BodyExt::boxed(StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))))
}

/// The engine behind a socket.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
}

impl Engine {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Whether it answers.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        self.send(Method::GET, "/_ping", None).await.map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let response = self.send(Method::GET, path, None).await?;
        answer(path, response).await
    }

    /// A request with a JSON body, answered in JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, EngineError> {
        let response = self.send(Method::POST, path, Some(json(path, body)?)).await?;
        answer(path, response).await
    }

    /// A request whose answer says nothing but that it was done.
    pub(crate) async fn act(&self, method: Method, path: &str) -> Result<(), EngineError> {
        self.send(method, path, None).await.map(drop)
    }

    /// The same with a JSON body.
    pub(crate) async fn act_with(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), EngineError> {
        self.send(method, path, Some(json(path, body)?)).await.map(drop)
    }

    /// Like [`Self::act`], with the answer.
    pub(crate) async fn act_for<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
    ) -> Result<T, EngineError> {
        let response = self.send(method, path, None).await?;
        answer(path, response).await
    }

    /// Sends a request; an answer that is an error becomes one.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<Response<Incoming>, EngineError> {
        self.send_with(method, path, body, &[]).await
    }

    /// The same with further headers.
    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>, EngineError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| EngineError::Connect { socket: self.socket.clone(), source })?;
        let failed = |source| EngineError::Request { path: path.to_owned(), source };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // It ends with the connection, which ends with the response; errors reach the response.
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder().method(method).uri(format!("{API}{path}"));
        request = request.header(HOST, "bulkhead");
        if body.is_some()
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.unwrap_or_else(|| whole(Bytes::new())));
        let request = request.map_err(|error| EngineError::Refused {
            status: StatusCode::BAD_REQUEST,
            message: format!("{path} is no valid request: {error}"),
        })?;
        let response = sender.send_request(request).await.map_err(failed)?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(refusal(response).await);
        }
        Ok(response)
    }

    /// A request whose connection becomes a stream of bytes in both directions.
    pub(crate) async fn hijack(
        &self,
        path: &str,
        body: Option<Body>,
    ) -> Result<TokioIo<Upgraded>, EngineError> {
        let headers = [(CONNECTION.as_str(), "Upgrade"), (UPGRADE.as_str(), "tcp")];
        let response = self.send_with(Method::POST, path, body, &headers).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(EngineError::NoStream { path: path.to_owned(), status });
        }
        let upgraded = hyper::upgrade::on(response).await;
        let failed = |source| EngineError::Request { path: path.to_owned(), source };
        upgraded.map(TokioIo::new).map_err(failed)
    }

    /// The JSON values of an answer, one a line, as they come.
    pub(crate) async fn lines<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<impl Stream<Item = anyhow::Result<T>> + Unpin, EngineError> {
        let response = self.send_with(method, path, body, headers).await?;
        Ok(Box::pin(json_lines(chunks(response))))
    }
}

/// The bytes of an answer as they come.
pub(crate) fn chunks(
    response: Response<Incoming>,
) -> impl Stream<Item = Result<Bytes, hyper::Error>> + Unpin {
    let frames = BodyStream::new(response.into_body());
    Box::pin(frames.filter_map(async |frame| match frame {
        Ok(frame) => frame.into_data().ok().map(Ok),
        Err(error) => Some(Err(error)),
    }))
}

fn json_lines<T: DeserializeOwned>(
    chunks: impl Stream<Item = Result<Bytes, hyper::Error>> + Unpin,
) -> impl Stream<Item = anyhow::Result<T>> {
    stream::unfold((chunks, Vec::new()), async |(mut chunks, mut pending)| {
        loop {
            if let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let value = serde_json::from_slice(&line).map_err(Into::into);
                return Some((value, (chunks, pending)));
            }
            match chunks.next().await {
                Some(Ok(chunk)) => pending.extend_from_slice(&chunk),
                Some(Err(error)) => return Some((Err(error.into()), (chunks, Vec::new()))),
                None if pending.trim_ascii().is_empty() => return None,
                None => pending.push(b'\n'),
            }
        }
    })
}

fn json(path: &str, body: &impl Serialize) -> Result<Body, EngineError> {
    let text = serde_json::to_vec(body)
        .map_err(|source| EngineError::Answer { path: path.to_owned(), source })?;
    Ok(whole(text))
}

async fn answer<T: DeserializeOwned>(
    path: &str,
    response: Response<Incoming>,
) -> Result<T, EngineError> {
    let body = response.into_body().collect().await;
    let body =
        body.map_err(|source| EngineError::Request { path: path.to_owned(), source })?.to_bytes();
    let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
    serde_json::from_slice(&body)
        .map_err(|source| EngineError::Answer { path: path.to_owned(), source })
}

async fn refusal(response: Response<Incoming>) -> EngineError {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    let status = response.status();
    let body = http_body_util::Limited::new(response.into_body(), MAX_ERROR).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = match serde_json::from_slice(&body) {
        Ok(Message { message }) => message,
        Err(_) if body.trim_ascii().is_empty() => format!("The engine answered {status}"),
        Err(_) => String::from_utf8_lossy(&body).trim().to_owned(),
    };
    EngineError::Refused { status, message }
}
