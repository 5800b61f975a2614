//! Requests and answers on one connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};

use super::{Head, HttpFault, Response};

/// The most bytes of a head.
const MAX_HEAD: usize = 16 << 10;
/// The most bytes of a refused body that are read and thrown away, so that the client can finish
/// writing and read the answer.
const MAX_DRAIN: usize = 4 << 20;

/// What a client may take, of time and of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Time from the first byte of a request to the last.
    pub request_time: Duration,
    /// Time without any request.
    pub idle_time: Duration,
    /// Time in which the client must take an answer.
    pub answer_time: Duration,
}

impl Default for Limits {
    /// 51200 bytes as Firecracker, and times that no client on the same machine needs.
    fn default() -> Self {
        Self {
            body: 51200,
            request_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(600),
            answer_time: Duration::from_secs(30),
        }
    }
}

/// A whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body, as long as the head says.
    pub body: Vec<u8>,
}

/// A connection from a client.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    limits: Limits,
    /// What was read and belongs to no request yet.
    buffer: Vec<u8>,
    /// Goes off not before the client has been idle for too long; made when it first waits.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection of which nothing was read yet.
    pub fn new(stream: S, limits: Limits) -> Self {
        Self { stream, limits, buffer: Vec::new(), alarm: None }
    }

    /// The next request, or none if the client has closed the connection or is idle for too long.
    ///
    /// # Errors
    ///
    /// An [`HttpFault`] that the client shall be told, after which the connection is of no use.
    pub async fn receive(&mut self) -> Result<Option<Request>, HttpFault> {
        loop {
            // RFC 9112 §2.2: empty lines before a request are skipped.
            let empty = self.buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            self.buffer.drain(..empty);
            if !self.buffer.is_empty() {
                break;
            }
            match self.fill_unless_idle().await {
                Ok(1..) => {}
                // Nobody is there to be told.
                _ => return Ok(None),
            }
        }
        let deadline = Instant::now() + self.limits.request_time;
        timeout_at(deadline, self.receive_rest()).await.unwrap_or(Err(HttpFault::Timeout))
    }

    /// Sends an answer.
    ///
    /// # Errors
    ///
    /// Those of writing, and [`io::ErrorKind::TimedOut`] if the client does not take it.
    pub async fn send(&mut self, response: &Response, how: Answer<'_>) -> io::Result<()> {
        let bytes = response.encode(how.server, how.keep_alive, how.with_body);
        self.write(&bytes).await
    }

    /// Sends bytes that belong to an answer whose head was sent.
    ///
    /// # Errors
    ///
    /// As for [`Connection::send`].
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(self.limits.answer_time, written)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Runs `work` until it ends or the client closes the connection; what the client still sends
    /// is thrown away.
    pub async fn while_open<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let closed = async {
            let mut waste = [0; 256];
            while matches!(self.stream.read(&mut waste).await, Ok(1..)) {}
        };
        tokio::select! {
            result = work => Some(result),
            () = closed => None,
        }
    }

    /// Throws away what the client still sends, up to a limit and for a short time, so that it
    /// comes to read the answer.
    pub async fn drain(&mut self) {
        let _ = self.stream.shutdown().await;
        let mut left = MAX_DRAIN;
        let drained = async {
            let mut waste = vec![0; 16 << 10];
            while left > 0 {
                match self.stream.read(&mut waste).await {
                    Ok(n @ 1..) => left = left.saturating_sub(n),
                    _ => return,
                }
            }
        };
        let _ = timeout(Duration::from_secs(2), drained).await;
    }

    /// The stream and what was read of it beyond the last request.
    pub fn into_stream(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer)
    }

    async fn receive_rest(&mut self) -> Result<Option<Request>, HttpFault> {
        let Some(head) = self.receive_head().await? else { return Ok(None) };
        let limit = self.limits.body;
        let too_large = HttpFault::BodyTooLarge { length: head.content_length, limit };
        let length = match usize::try_from(head.content_length) {
            Ok(length) if length <= limit => length,
            _ => return Err(too_large),
        };
        if head.expects_continue && self.buffer.len() < length {
            let proceed = b"HTTP/1.1 100 Continue\r\n\r\n";
            if self.write(proceed).await.is_err() {
                return Ok(None);
            }
        }
        while self.buffer.len() < length {
            match self.fill().await {
                Ok(1..) => {}
                _ => return Ok(None),
            }
        }
        let rest = self.buffer.split_off(length);
        let body = std::mem::replace(&mut self.buffer, rest);
        Ok(Some(Request { head, body }))
    }

    async fn receive_head(&mut self) -> Result<Option<Head>, HttpFault> {
        let mut looked_at = 0;
        loop {
            // Parsed only once it can be whole, or a client that sends single bytes would have
            // each of them parse all before it.
            let from = looked_at.min(self.buffer.len());
            if has_empty_line(&self.buffer[from..])
                && let Some((head, length)) = Head::parse(&self.buffer)?
            {
                self.buffer.drain(..length);
                return Ok(Some(head));
            }
            looked_at = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEAD {
                return Err(HttpFault::HeadTooLarge(MAX_HEAD));
            }
            match self.fill().await {
                Ok(1..) => {}
                _ => return Ok(None),
            }
        }
    }

    /// Reads some more, or nothing once the client has been idle for too long.
    ///
    /// One alarm serves all requests: to set one for each would wake the event loop each time.
    async fn fill_unless_idle(&mut self) -> io::Result<usize> {
        let end = Instant::now() + self.limits.idle_time;
        let mut alarm = self.alarm.take().unwrap_or_else(|| Box::pin(sleep_until(end)));
        let filled = loop {
            tokio::select! {
                biased;
                filled = self.fill() => break filled,
                () = &mut alarm => {}
            }
            if Instant::now() >= end {
                return Ok(0);
            }
            alarm.as_mut().reset(end);
        };
        self.alarm = Some(alarm);
        filled
    }

    /// Reads some more, at most as much as a head can have.
    async fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        let n = self.stream.read(&mut chunk).await?;
        self.buffer.extend_from_slice(chunk.get(..n).unwrap_or_default());
        Ok(n)
    }
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The server's name.
    pub server: &'a str,
    /// Whether the connection goes on.
    pub keep_alive: bool,
    /// Whether the body follows the head.
    pub with_body: bool,
}

/// Whether a head can end here: at an empty line, with or without carriage returns.
fn has_empty_line(bytes: &[u8]) -> bool {
    let mut after_newline = false;
    for byte in bytes {
        match byte {
            b'\n' if after_newline => return true,
            b'\n' => after_newline = true,
            b'\r' => {}
            _ => after_newline = false,
        }
    }
    false
}
