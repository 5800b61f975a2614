//! One request and its answer.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, ClientError};
use crate::vm::wire;

/// The most bytes of an answer's head.
const MAX_HEAD: usize = 16 << 10;
/// The most bytes of an answer's body.
const MAX_BODY: u64 = 64 << 20;

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Names, in lower case, and values of its header fields.
    pub fields: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// An answer of which the body was not read yet.
pub(super) struct Opened {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) stream: UnixStream,
    /// What was read beyond the head.
    pub(super) early: Vec<u8>,
}

impl Client {
    /// Sends any request and gives the answer as it comes, refused or not.
    ///
    /// # Errors
    ///
    /// [`ClientError`], but never [`ClientError::Fault`].
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> Result<Reply, ClientError> {
        let opened = self.open(method, path, "Connection: close\r\n", body)?;
        self.read_body(opened)
    }

    /// Sends a request without a body and reads what it gives.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let body = self.accepted(self.send("GET", path, b"")?)?;
        serde_json::from_slice(&body).map_err(|error| self.protocol_error(error))
    }

    /// Sends a request with a JSON body that gives nothing.
    pub(super) fn change<T: Serialize>(
        &self,
        method: &str,
        path: &str,
        body: &T,
    ) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.protocol_error(error))?;
        self.accepted(self.send(method, path, &body)?).map(drop)
    }

    /// The body of an answer, or the fault that it is.
    pub(super) fn accepted(&self, reply: Reply) -> Result<Vec<u8>, ClientError> {
        if (200..300).contains(&reply.status) {
            return Ok(reply.body);
        }
        let fault: Result<wire::Error, _> = serde_json::from_slice(&reply.body);
        Err(match fault {
            Ok(fault) => ClientError::Fault { status: reply.status, message: fault.fault_message },
            Err(_) => self.protocol_error(format_args!("status {} without a reason", reply.status)),
        })
    }

    /// Sends a request and reads the head of the answer.
    pub(super) fn open(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: &[u8],
    ) -> Result<Opened, ClientError> {
        let mut stream = UnixStream::connect(&self.socket)
            .map_err(|source| ClientError::Connect { socket: self.socket.clone(), source })?;
        stream
            .set_read_timeout(self.timeout)
            .and_then(|()| stream.set_write_timeout(self.timeout))
            .map_err(|error| self.connection_error(error))?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}");
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\nContent-Length: ");
            request.push_str(&body.len().to_string());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        // A server that refuses a request may close before it has read all; its answer counts.
        let written = stream.write_all(&request);
        self.read_head(stream).map_err(|error| match written {
            Ok(()) => error,
            Err(source) => self.connection_error(source),
        })
    }

    fn read_head(&self, mut stream: UnixStream) -> Result<Opened, ClientError> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let n = stream.read(&mut chunk).map_err(|error| self.connection_error(error))?;
            if n == 0 {
                return Err(self.connection_error(io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.extend_from_slice(&chunk[..n]);
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut fields);
            let parsed = response.parse(&bytes).map_err(|error| self.protocol_error(error))?;
            match (parsed, response.code) {
                (httparse::Status::Complete(length), Some(status)) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
                    let fields = response
                        .headers
                        .iter()
                        .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
                        .collect();
                    let early = bytes.split_off(length);
                    return Ok(Opened { status, fields, stream, early });
                }
                _ if bytes.len() > MAX_HEAD => {
                    return Err(self.protocol_error("the head of an answer does not end"));
                }
                _ => {}
            }
        }
    }

    pub(super) fn read_body(&self, opened: Opened) -> Result<Reply, ClientError> {
        let Opened { status, fields, mut stream, early: mut body } = opened;
        let length = fields.iter().find(|(name, _)| name == "content-length");
        let length: u64 = match length {
            Some((_, digits)) => digits.parse().map_err(|error| self.protocol_error(error))?,
            None => 0,
        };
        if length > MAX_BODY {
            return Err(self.protocol_error("the body of an answer is too large"));
        }
        let had = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let missing = length.saturating_sub(had);
        let read = (&mut stream).take(missing).read_to_end(&mut body);
        let read = read.map_err(|error| self.connection_error(error))?;
        if u64::try_from(read).unwrap_or(u64::MAX) < missing {
            return Err(self.connection_error(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Reply { status, fields, body })
    }
}
