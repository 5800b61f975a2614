//! Connections that stop being HTTP: attach and exec.
//!
//! A client that sends `Upgrade: tcp` gets 101, and from then on both directions are the streams'
//! own; closing one leaves the other. Without that header the answer is a 200 whose body is the
//! output, and the request's body is the input.

use std::future::Future;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use hyper::upgrade::{OnUpgrade, Parts as ConnectionParts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::hang_up::HangUp;
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
    ends_with_client: bool,
}

impl Hijack {
    /// Nothing is served any more once the client has hung up, even if there is nothing to be
    /// written by which that would show.
    #[must_use]
    pub fn ending_with_client(self) -> Self {
        Self { ends_with_client: true, ..self }
    }

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
                Ok(connection) => carry(connection, self.ends_with_client, serve).await,
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

/// Runs `serve` with a connection; with `ends_with_client` until the client hangs up.
async fn carry<F: Future<Output = ()>>(
    connection: Upgraded,
    ends_with_client: bool,
    serve: impl FnOnce(Input, Client) -> F,
) {
    let ConnectionParts { io, read_buf, .. } = match connection.downcast::<TokioIo<UnixStream>>() {
        Ok(parts) => parts,
        Err(connection) => {
            let (input, client) = tokio::io::split(TokioIo::new(connection));
            return serve(Box::new(input), Box::new(client)).await;
        }
    };
    let socket = io.into_inner();
    let hang_up = ends_with_client.then(|| HangUp::of(&socket)).and_then(Result::ok);
    let hung_up = async {
        match &hang_up {
            Some(hang_up) => hang_up.told().await,
            None => std::future::pending().await,
        }
    };
    let (input, client) = socket.into_split();
    // What came together with the request.
    let input = Cursor::new(read_buf).chain(input);
    tokio::select! {
        () = serve(Box::new(input), Box::new(client)) => {}
        () = hung_up => {}
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Hijack {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let wanted = parts.headers.contains_key(header::UPGRADE);
        let upgrade = parts.extensions.remove::<OnUpgrade>().filter(|_| wanted);
        let version = ApiVersion::from_request_parts(parts, state).await?;
        Ok(Self { upgrade, version, ends_with_client: false })
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
