//! One TCP connection with a guest: requests in, answers out.

use std::time::Instant;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration;

use super::http::{MAX_REQUEST, Parsed, Request, Response, Status};
use super::metrics::MmdsMetrics;
use super::service::respond;
use super::store::Mmds;

/// Bytes that the guest may send ahead.
const RECEIVE_BUFFER: usize = 8192;
/// Bytes of an answer that may be unacknowledged.
const SEND_BUFFER: usize = 16384;
/// A guest that sends nothing for so long, not even an acknowledgement, has gone.
const SILENCE: Duration = Duration::from_secs(60);

/// The state of one connection, whose socket is elsewhere.
pub(super) struct Connection {
    pub(super) handle: SocketHandle,
    /// Received and not yet understood, up to [`MAX_REQUEST`] bytes.
    received: Vec<u8>,
    /// The answer at hand, and how much of it the socket took.
    answer: Vec<u8>,
    sent: usize,
    /// Nothing is read any more; the connection closes after the answer.
    last: bool,
    /// The guest has connected.
    accepted: bool,
}

/// A socket for a connection to be.
pub(super) fn socket() -> Socket<'static> {
    let receive = SocketBuffer::new(vec![0; RECEIVE_BUFFER]);
    let mut socket = Socket::new(receive, SocketBuffer::new(vec![0; SEND_BUFFER]));
    socket.set_timeout(Some(SILENCE));
    // Answers are written whole, and there is no network to spare: waiting only costs time.
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    socket
}

impl Connection {
    /// A connection for `handle`, a socket that listens.
    pub(super) fn new(handle: SocketHandle) -> Self {
        let (received, answer) = (Vec::new(), Vec::new());
        Self { handle, received, answer, sent: 0, last: false, accepted: false }
    }

    /// Moves the connection on as far as it goes.
    pub(super) fn serve(
        &mut self,
        socket: &mut Socket<'_>,
        mmds: &Mmds,
        metrics: &MmdsMetrics,
        now: Instant,
    ) {
        if !self.accepted {
            metrics.connections_created.increment();
            self.accepted = true;
        }
        loop {
            self.flush(socket);
            if self.sent < self.answer.len() {
                return;
            }
            if self.last {
                return socket.close();
            }
            self.receive(socket);
            let Some((response, len, keeps_alive, without_body)) =
                self.next_answer(mmds, metrics, now)
            else {
                // Half a request will never be whole when the guest has closed its side.
                if socket.state() == State::CloseWait {
                    socket.close();
                }
                return;
            };
            metrics.requests.increment();
            if response.status != Status::Ok {
                metrics.request_errors.increment();
            }
            self.received.drain(..len);
            self.answer = response.encode(keeps_alive, without_body);
            self.sent = 0;
            self.last = !keeps_alive;
        }
    }

    /// The answer to what was received: with the request's length, whether the connection stays
    /// open, and whether only the answer's head is wanted.
    fn next_answer(
        &self,
        mmds: &Mmds,
        metrics: &MmdsMetrics,
        now: Instant,
    ) -> Option<(Response, usize, bool, bool)> {
        match Request::parse(&self.received) {
            Parsed::Request(request, len) => {
                let response = respond(mmds, metrics, &request, now);
                Some((response, len, request.keeps_alive(), request.method == "HEAD"))
            }
            Parsed::Partial => None,
            Parsed::Bad(status) => {
                let response = Response::text(status, "Invalid request.");
                Some((response, self.received.len(), false, false))
            }
        }
    }

    fn flush(&mut self, socket: &mut Socket<'_>) {
        let Some(rest) = self.answer.get(self.sent..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        match socket.send_slice(rest) {
            Ok(taken) => self.sent += taken,
            // The guest has gone.
            Err(_) => {
                self.sent = self.answer.len();
                self.last = true;
            }
        }
    }

    fn receive(&mut self, socket: &mut Socket<'_>) {
        while socket.can_recv() {
            let room = MAX_REQUEST.saturating_sub(self.received.len());
            let taken = socket.recv(|data| {
                let part = data.get(..data.len().min(room)).unwrap_or_default();
                self.received.extend_from_slice(part);
                (part.len(), part.len())
            });
            if !taken.is_ok_and(|taken| taken > 0) {
                return;
            }
        }
    }
}
