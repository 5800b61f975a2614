//! Requests to the engine as bytes on its socket, for what no client does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// What the engine answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The body: null where there is none, and as text where it is no JSON.
    pub body: Value,
}

/// Sends a request over a connection of its own and waits for the answer.
///
/// # Errors
///
/// The engine is not there, or goes before it answers.
pub fn request(socket: &Path, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("there was no answer")?;
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    let text = || if body.is_empty() { Value::Null } else { Value::from(body) };
    Ok(Answer { status, body: serde_json::from_str(body).unwrap_or_else(|_| text()) })
}
