//! Bodies of requests that are answered before they were read.
//!
//! hyper closes a connection on which more comes than a handler took, and a client that is still
//! sending then sees a broken pipe in place of its answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};

/// Bytes that are read for nobody. A client with more than this has its connection closed.
const LIMIT: usize = 64 << 20;
/// A client that sends slower than this is not waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A request whose handler sees the same body, and what the handler leaves of it.
pub(super) fn watch(request: Request) -> (Request, Unread) {
    let (head, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let watched = Body::new(Watched(Arc::clone(&body)));
    (Request::from_parts(head, watched), Unread(body))
}

/// What may be left of a body.
pub(super) struct Unread(Arc<Mutex<Body>>);

impl Unread {
    /// Takes what is left from the client. A body that somebody still reads is theirs.
    pub(super) async fn discard(self) {
        let Some(body) = Arc::into_inner(self.0) else { return };
        let body = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !body.is_end_stream() && body.size_hint().lower() <= LIMIT as u64 {
            let _ = tokio::time::timeout(TIMEOUT, read_to_end(body)).await;
        }
    }
}

async fn read_to_end(body: Body) {
    let mut stream = body.into_data_stream();
    let mut count = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        count += chunk.len();
        if count > LIMIT {
            return;
        }
    }
}

struct Watched(Arc<Mutex<Body>>);

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
