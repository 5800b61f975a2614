//! One client and its requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::{Shared, answer};
use crate::http::{Answer, Connection, Head, HttpFault, Request, Response};
use crate::vm::{Target, VmController, VmRequest, VmResponse, route};

/// The name in answers.
const SERVER: &str = "Bulkhead API";
/// The protocol of a console: bytes as they are.
const CONSOLE_PROTOCOL: &str = "tcp";
/// How often a stream of events says that it is alive when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One client.
pub(super) struct Client<C> {
    connection: Connection<UnixStream>,
    shared: Arc<Shared<C>>,
}

/// What becomes of a connection after a request.
enum Next {
    /// This is sent, and the next request read.
    Send(Response),
    /// The rest of the connection is a stream of events after this one.
    Events(u64),
    /// The rest of the connection is a console.
    Console(std::os::unix::net::UnixStream),
}

impl<C: VmController> Client<C> {
    pub(super) fn new(stream: UnixStream, shared: Arc<Shared<C>>) -> Self {
        shared.counters.connected();
        Self { connection: Connection::new(stream, shared.options.limits), shared }
    }

    /// Answers requests until the client goes or what it sends is no HTTP.
    pub(super) async fn serve(mut self) {
        let mut stopping = self.shared.stopping.subscribe();
        loop {
            let received = tokio::select! {
                received = self.connection.receive() => received,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            let request = match received {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(fault) => return self.part(&fault).await,
            };
            let how = Answer {
                server: SERVER,
                keep_alive: request.head.keep_alive,
                with_body: request.head.method != "HEAD",
            };
            match self.handle(&request).await {
                Next::Send(response) => {
                    self.shared.counters.answered(response.status);
                    if self.connection.send(&response, how).await.is_err() || !how.keep_alive {
                        return;
                    }
                }
                Next::Events(seen) => return self.stream_events(seen, how).await,
                Next::Console(console) => return self.bridge(console, how).await,
            }
        }
    }

    /// Tells a client that there are too many.
    pub(super) async fn refuse(self) {
        self.part(&HttpFault::Busy).await;
    }

    /// Says what is wrong and closes the connection.
    async fn part(mut self, fault: &HttpFault) {
        log::warn!("The API server refused a request: {fault}");
        let response = answer::of_http_fault(fault);
        self.shared.counters.answered(response.status);
        let how = Answer { server: SERVER, keep_alive: false, with_body: true };
        if self.connection.send(&response, how).await.is_ok() {
            self.connection.drain().await;
        }
    }

    async fn handle(&self, request: &Request) -> Next {
        let Head { method, path, .. } = &request.head;
        let routed = match route(method, path, &request.body) {
            Ok(routed) => routed,
            Err(fault) => {
                log::error!("The API server refused {method} {path}: {}", one_line(&fault));
                return Next::Send(answer::of_bad_request(&fault));
            }
        };
        let vm_request = match routed.target {
            Target::Vm(vm_request) => vm_request,
            Target::Events => return Next::Events(self.events_seen(&request.head)),
        };
        let is_console = matches!(vm_request, VmRequest::AttachConsole(_));
        if is_console && !request.head.wants_upgrade(CONSOLE_PROTOCOL) {
            return Next::Send(answer::upgrade_required(CONSOLE_PROTOCOL));
        }
        log::info!("The API server received {method} {path}");
        let mut response = match self.shared.controller.call(vm_request).await {
            Ok(VmResponse::Console(console)) => return Next::Console(console),
            Ok(response) => answer::of_response(response, &self.shared.counters),
            Err(fault) => {
                log::error!("The API server refused {method} {path}: {}", one_line(&fault));
                answer::of_fault(&fault)
            }
        };
        if let Some(message) = routed.deprecation {
            log::warn!("{message}");
            response.deprecated = true;
        }
        Next::Send(response)
    }

    /// The last event that a client knows: what it says itself, or all so far.
    fn events_seen(&self, head: &Head) -> u64 {
        let said = head.field("last-event-id").and_then(|id| id.parse().ok());
        said.unwrap_or_else(|| self.shared.options.events.last_id())
    }

    async fn stream_events(mut self, seen: u64, how: Answer<'_>) {
        let response = Response::stream("text/event-stream");
        self.shared.counters.answered(response.status);
        let mut events = self.shared.options.events.subscribe(seen);
        if self.connection.send(&response, how).await.is_err() {
            return;
        }
        loop {
            let next = tokio::time::timeout(HEARTBEAT, events.next());
            let text = match self.connection.while_open(next).await {
                Some(Ok(Some(events))) => events.iter().map(|event| event.to_sse()).collect(),
                Some(Err(_)) => ":\n\n".to_owned(),
                Some(Ok(None)) | None => return,
            };
            if self.connection.write(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Copies between the client and the console until either ends.
    async fn bridge(mut self, console: std::os::unix::net::UnixStream, how: Answer<'_>) {
        let response = Response::upgrade(CONSOLE_PROTOCOL);
        self.shared.counters.answered(response.status);
        let console = console.set_nonblocking(true).and_then(|()| UnixStream::from_std(console));
        let mut console = match console {
            Ok(console) => console,
            Err(error) => return log::error!("The API server cannot attach a console: {error}"),
        };
        if self.connection.send(&response, how).await.is_err() {
            return;
        }
        let (mut client, early) = self.connection.into_stream();
        if console.write_all(&early).await.is_ok() {
            // Either side may go at any time.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut console).await;
        }
    }
}

/// A message without line feeds and other control characters, which parts of a request that it
/// quotes may have.
fn one_line(message: &impl ToString) -> String {
    message.to_string().replace(char::is_control, " ")
}
