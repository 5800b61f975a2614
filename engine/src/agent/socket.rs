//! Bytes to and from a guest's vsock ports, through the monitor's unix socket.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use agent_protocol::client::ConnectError;
use agent_protocol::frame::{Decoder, Next, ReadFrameError};
use agent_protocol::message::{FromAgent, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::frame_of;

/// The longest answer to `CONNECT`: `OK 4294967295\n` and some room.
const LONGEST_ANSWER: usize = 32;

/// Where a guest's vsock is on the host.
#[derive(Clone, Debug)]
pub struct VsockSocket(PathBuf);

impl VsockSocket {
    /// The monitor's socket at this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The monitor's socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Connects to `port` in the guest.
    pub async fn connect(&self, port: u32) -> Result<UnixStream, ConnectError> {
        self.finish(self.begin(port).await?, port).await
    }

    /// Asks for a connection without waiting for the guest, so that several are made in the time
    /// of one.
    pub(super) async fn begin(&self, port: u32) -> Result<UnixStream, ConnectError> {
        let begin = async {
            let mut stream = UnixStream::connect(&self.0).await?;
            stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
            Ok(stream)
        };
        begin.await.map_err(|error| self.failed(error))
    }

    /// Waits until the guest has accepted.
    pub(super) async fn finish(
        &self,
        mut stream: UnixStream,
        port: u32,
    ) -> Result<UnixStream, ConnectError> {
        let answer = match read_line(&mut stream).await {
            // A monitor whose guest refuses just closes the connection.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Vec::new(),
            answer => answer.map_err(|error| self.failed(error))?,
        };
        if answer.is_empty() {
            return Err(ConnectError::Refused { path: self.0.clone(), port });
        }
        if !answer.starts_with(b"OK ") || !answer.ends_with(b"\n") {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(ConnectError::BadAnswer { path: self.0.clone(), answer });
        }
        Ok(stream)
    }

    pub(super) fn failed(&self, source: io::Error) -> ConnectError {
        ConnectError::Socket { path: self.0.clone(), source }
    }
}

/// Reads up to a newline, the end, or the longest answer, and nothing beyond it: what follows
/// belongs to the connection's user.
async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LONGEST_ANSWER);
    while line.len() < LONGEST_ANSWER && line.last() != Some(&b'\n') {
        match stream.read_u8().await {
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}

/// Sends a message that has no reply of its own.
pub(super) async fn send(stream: &mut UnixStream, request: Request) -> io::Result<()> {
    let bytes = frame_of(0, request).map_err(io::Error::other)?;
    stream.write_all(&bytes).await
}

/// The next message; `None` at the end of the connection.
pub(super) async fn read(
    stream: &UnixStream,
    decoder: &mut Decoder,
) -> Result<Option<FromAgent>, ReadFrameError> {
    loop {
        match decoder.read(&mut NonBlocking(stream))? {
            Next::Message(message) => return Ok(Some(message)),
            Next::End => return Ok(None),
            Next::Pending => stream.readable().await.map_err(ReadFrameError::Io)?,
        }
    }
}

/// What a socket has now.
struct NonBlocking<'a>(&'a UnixStream);

impl Read for NonBlocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}
