//! Bodies of answers that grow while the client reads: JSON documents, and plain bytes.
//!
//! Each has a bounded channel between the one who makes it and the connection, so a client that
//! does not read makes its maker wait, and one that goes away is noticed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::io::{AsyncWrite, DuplexStream};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;

/// Documents that wait for the client.
const WAITING: usize = 32;
/// Bytes of a pipe that wait for the client.
const PIPE: usize = 64 << 10;

/// The client does not listen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has gone away")]
pub struct Gone;

/// The sending half of a body of JSON documents, one a line.
#[derive(Clone, Debug)]
pub struct Lines(mpsc::Sender<io::Result<Bytes>>);

impl Lines {
    /// Sends one document; waits while the client does not read.
    ///
    /// # Errors
    ///
    /// [`Gone`], the reason to stop.
    pub async fn send<T: Serialize + ?Sized>(&self, document: &T) -> Result<(), Gone> {
        let mut line = serde_json::to_vec(document).map_err(|_| Gone)?;
        line.extend_from_slice(b"\r\n");
        self.send_bytes(line.into()).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// [`Gone`].
    pub async fn send_bytes(&self, bytes: Bytes) -> Result<(), Gone> {
        self.0.send(Ok(bytes)).await.map_err(|SendError(_)| Gone)
    }

    /// Breaks the connection off, so that the client does not take what it has for all.
    pub async fn fail(self, error: io::Error) {
        // Nobody to tell if the client has gone away.
        let _ = self.0.send(Err(error)).await;
    }

    /// Until the client goes away.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

/// A body of JSON documents, and its sending half. The body ends when that is dropped.
pub fn json_lines() -> (Lines, Response) {
    let (lines, body) = byte_lines();
    (lines, ([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// As [`json_lines`], without a content type: logs.
pub fn byte_lines() -> (Lines, Body) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let chunks =
        stream::unfold(receiver, async |mut receiver: mpsc::Receiver<io::Result<Bytes>>| {
            let chunk = receiver.recv().await?;
            Some((chunk, receiver))
        });
    (Lines(sender), Body::from_stream(chunks))
}

/// A body that is written to as to a file: archives. Only one that was shut down is whole: the
/// connection breaks off otherwise, so that the client does not take what it has for all.
pub fn channel_body() -> (impl AsyncWrite + Send + Unpin, Body) {
    let (near, far) = tokio::io::duplex(PIPE);
    let whole = Arc::new(AtomicBool::new(false));
    let chunks = ReaderChunks { pipe: far, whole: Arc::clone(&whole) };
    (PipeEnd { pipe: near, whole }, Body::from_stream(chunks))
}

/// What a body is written to.
struct PipeEnd {
    pipe: DuplexStream,
    whole: Arc<AtomicBool>,
}

impl AsyncWrite for PipeEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Before the other half can see the end.
        self.whole.store(true, Ordering::Release);
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// What comes out of a pipe, as chunks.
struct ReaderChunks {
    pipe: DuplexStream,
    whole: Arc<AtomicBool>,
}

impl futures_util::Stream for ReaderChunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut buffer = vec![0; PIPE];
        let mut read = tokio::io::ReadBuf::new(&mut buffer);
        let reader = Pin::new(&mut self.pipe);
        ready!(tokio::io::AsyncRead::poll_read(reader, cx, &mut read))?;
        let length = read.filled().len();
        if length == 0 {
            if self.whole.swap(true, Ordering::AcqRel) {
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(Err(io::Error::other("what was to be sent broke off"))));
        }
        buffer.truncate(length);
        Poll::Ready(Some(Ok(buffer.into())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn documents_come_as_lines() {
        let (lines, response) = json_lines();
        lines.send(&serde_json::json!({"status": "one"})).await.unwrap();
        lines.send("two").await.unwrap();
        drop(lines);
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(&body[..], b"{\"status\":\"one\"}\r\n\"two\"\r\n");
    }

    #[tokio::test]
    async fn only_a_body_that_was_shut_down_is_whole() {
        let (mut sink, body) = channel_body();
        sink.write_all(b"all").await.unwrap();
        sink.shutdown().await.unwrap();
        drop(sink);
        assert_eq!(&axum::body::to_bytes(body, 100).await.unwrap()[..], b"all");
        let (mut sink, body) = channel_body();
        sink.write_all(b"half").await.unwrap();
        drop(sink);
        axum::body::to_bytes(body, 100).await.unwrap_err();
    }

    #[tokio::test]
    async fn client_that_goes_away_is_noticed() {
        let (lines, response) = json_lines();
        drop(response);
        lines.gone().await;
        assert_eq!(lines.send("more").await, Err(Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_does_not_read_makes_the_sender_wait() {
        let (lines, _response) = json_lines();
        for _ in 0..WAITING {
            lines.send("x").await.unwrap();
        }
        let next = tokio::time::timeout(Duration::from_secs(60), lines.send("x")).await;
        assert!(next.is_err());
    }
}
