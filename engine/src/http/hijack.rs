//! Connections that stop being HTTP: attach and exec.
//!
//! A client that sends `Upgrade: tcp` gets 101, and from then on both directions are the streams'
//! own; closing one leaves the other. Without that header the answer is a 200 whose body is the
//! output, and the request's body is the input.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::lines::channel_body;
use super::multiplex::Framing;
use super::version::ApiVersion;

/// What the client types. Its end is the end of standard input.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;
/// What the client sees. To be shut down at the end.
pub type Client = Box<dyn AsyncWrite + Send + Unpin>;

/// The first version whose clients know of the content type of frames.
const NAMES_FRAMES: ApiVersion = ApiVersion::new(42);

/// A request that can be answered by a connection. An extractor.
#[derive(Debug)]
pub struct Hijack {
    upgrade: Option<OnUpgrade>,
    version: ApiVersion,
}

impl Hijack {
    /// Answers, and runs `serve` with the connection in a task of its own. `body` is what is left
    /// of the request's, the input of clients that do not upgrade.
    pub fn respond<F, S>(self, framing: Framing, body: Body, serve: S) -> Response
    where
        S: FnOnce(Input, Client) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let media = match framing {
            Framing::Multiplexed if self.version >= NAMES_FRAMES => {
                "application/vnd.docker.multiplexed-stream"
            }
            _ => "application/vnd.docker.raw-stream",
        };
        let Some(upgrade) = self.upgrade else {
            let (client, output) = channel_body();
            tokio::spawn(serve(Box::new(BodyReader::new(body)), Box::new(client)));
            return ([(header::CONTENT_TYPE, media)], output).into_response();
        };
        tokio::spawn(async move {
            match upgrade.await {
                Ok(connection) => {
                    let (input, client) = tokio::io::split(TokioIo::new(connection));
                    serve(Box::new(input), Box::new(client)).await;
                }
                Err(error) => log::debug!("a client left before its streams began: {error}"),
            }
        });
        let headers: [(HeaderName, &str); 3] = [
            (header::CONTENT_TYPE, media),
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "tcp"),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Hijack {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let wanted = parts.headers.contains_key(header::UPGRADE);
        let upgrade = parts.extensions.remove::<OnUpgrade>().filter(|_| wanted);
        let version = ApiVersion::from_request_parts(parts, state).await?;
        Ok(Self { upgrade, version })
    }
}

/// A request's body as a stream of bytes to read.
struct BodyReader {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>,
    current: Bytes,
}

impl BodyReader {
    fn new(body: Body) -> Self {
        Self { chunks: body.into_data_stream().boxed(), current: Bytes::new() }
    }
}

/// A request's body to read from: images, archives.
pub fn body_reader(body: Body) -> impl AsyncRead + Send + Unpin {
    BodyReader::new(body)
}

impl AsyncRead for BodyReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match ready!(self.chunks.poll_next_unpin(cx)) {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current.split_to(length));
        Poll::Ready(Ok(()))
    }
}
