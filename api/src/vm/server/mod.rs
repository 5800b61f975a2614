//! The server of a machine's socket.

mod answer;
mod client;
mod counters;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot, watch};

use super::{EventHub, VmController};
use crate::http::Limits;
use client::Client;
use counters::Counters;

/// How long the server rests when no connection can be accepted, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What can be chosen about a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What a client may take, of time and of bytes.
    pub limits: Limits,
    /// The most connections at a time.
    pub connections: usize,
    /// The events that clients can follow.
    pub events: EventHub,
}

impl Default for ServerOptions {
    /// [`Limits::default`], 128 connections, and a hub of its own.
    fn default() -> Self {
        Self { limits: Limits::default(), connections: 128, events: EventHub::new() }
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// No event loop.
    #[error("cannot set up the API server's event loop")]
    Runtime(#[source] io::Error),
    /// The listener cannot be used.
    #[error("cannot use the API socket")]
    Listener(#[source] io::Error),
}

/// A server that is ready to run. Nothing is opened after this, so that a thread can give up its
/// rights between [`Server::new`] and [`Server::run`].
pub struct Server<C> {
    runtime: Runtime,
    listener: tokio::net::UnixListener,
    shared: Arc<Shared<C>>,
    stop: oneshot::Receiver<Duration>,
}

/// Ends a server.
#[derive(Debug)]
pub struct Stopper(oneshot::Sender<Duration>);

/// What all connections have in common.
struct Shared<C> {
    controller: C,
    options: ServerOptions,
    counters: Counters,
    /// Whether clients that ask for nothing shall go.
    stopping: watch::Sender<bool>,
}

/// Serves clients in this thread until the process ends.
///
/// # Errors
///
/// [`ServeError`]
pub fn serve<C: VmController>(
    listener: UnixListener,
    controller: C,
    options: ServerOptions,
) -> Result<(), ServeError> {
    let (server, _stopper) = Server::new(listener, controller, options)?;
    server.run();
    Ok(())
}

impl<C: VmController> Server<C> {
    /// A server on a socket that already listens, and what ends it.
    ///
    /// # Errors
    ///
    /// [`ServeError`]
    pub fn new(
        listener: UnixListener,
        controller: C,
        options: ServerOptions,
    ) -> Result<(Self, Stopper), ServeError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(ServeError::Runtime)?;
        listener.set_nonblocking(true).map_err(ServeError::Listener)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::UnixListener::from_std(listener).map_err(ServeError::Listener)?
        };
        let (stopper, stop) = oneshot::channel();
        let counters = Counters::default();
        let stopping = watch::Sender::new(false);
        let shared = Arc::new(Shared { controller, options, counters, stopping });
        Ok((Self { runtime, listener, shared, stop }, Stopper(stopper)))
    }

    /// Serves clients in this thread until it is stopped.
    pub fn run(self) {
        let Self { runtime, listener, shared, stop } = self;
        runtime.block_on(accept_all(&listener, &shared, stop));
    }
}

impl Stopper {
    /// No client is accepted any more; those who are connected have `grace` to get their answers.
    pub fn stop(self, grace: Duration) {
        // A server that has ended is fine.
        let _ = self.0.send(grace);
    }
}

/// Without a stopper the server runs until the process ends.
async fn stopped(stop: oneshot::Receiver<Duration>) -> Duration {
    match stop.await {
        Ok(grace) => grace,
        Err(_) => std::future::pending().await,
    }
}

async fn accept_all<C: VmController>(
    listener: &tokio::net::UnixListener,
    shared: &Arc<Shared<C>>,
    stop: oneshot::Receiver<Duration>,
) {
    let places = shared.options.connections;
    let connections = Arc::new(Semaphore::new(places));
    let stop = stopped(stop);
    tokio::pin!(stop);
    let grace = loop {
        let accepted = tokio::select! {
            grace = &mut stop => break grace,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("The API server cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = Arc::clone(&connections).try_acquire_owned().ok();
        let client = Client::new(stream, Arc::clone(shared));
        tokio::spawn(async move {
            match place {
                Some(_place) => client.serve().await,
                None => client.refuse().await,
            }
        });
    };
    shared.stopping.send_replace(true);
    // All places are free once every client has gone.
    let all = u32::try_from(places).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(grace, connections.acquire_many(all)).await;
}

impl<C> std::fmt::Debug for Server<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
