//! Connections of clients, and what each may take.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tower_service::Service;

/// Connections at once. Each that follows logs or events, attaches or waits keeps one.
const CONNECTIONS: usize = 4096;
/// For the head of a request, also of the next one on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of a head. Registry credentials and filters are in there.
const HEAD_SIZE: usize = 256 << 10;
/// After an error of accept(2) that is not the connection's: no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients of `listener` until `stop` is there. Connections that are open then are dropped
/// with the runtime: containers do not depend on them.
///
/// # Errors
///
/// Where the listener is of no use any more.
pub async fn serve(
    listener: UnixListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.map_err(io::Error::other)?,
            () = &mut stop => return Ok(()),
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    log::warn!("failed to accept a client: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => return Ok(()),
        };
        let router = router.clone();
        tokio::spawn(async move {
            if let Err(error) = connection(stream, router).await {
                log::debug!("a client's connection ended: {error}");
            }
            drop(place);
        });
    }
}

async fn connection(stream: UnixStream, router: Router) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        async move { router.call(request.map(Body::new)).await }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_SIZE)
        // A client may be done with sending while it still reads.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
}
