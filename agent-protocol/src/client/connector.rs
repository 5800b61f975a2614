//! Reaching a guest's vsock port through the monitor's unix socket.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// The longest answer to `CONNECT`: `OK 4294967295\n` and some room.
const LONGEST_ANSWER: usize = 32;

/// A guest's port could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The monitor's socket could not be used.
    #[error("Failed to use vsock socket {path}")]
    Socket {
        /// The monitor's socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing listens on the port in the guest.
    #[error("Nothing in the guest accepts connections to vsock port {port} (through {path})")]
    Refused {
        /// The monitor's socket.
        path: PathBuf,
        /// The guest's port.
        port: u32,
    },
    /// The socket answered something other than `OK`.
    #[error("vsock socket {path} answered {answer:?} to CONNECT")]
    BadAnswer {
        /// The monitor's socket.
        path: PathBuf,
        /// What it answered.
        answer: String,
    },
}

/// Where a guest's vsock is on the host: the `uds_path` of Firecracker's vsock device.
#[derive(Debug, Clone)]
pub struct Connector {
    path: PathBuf,
    timeout: Duration,
}

impl Connector {
    /// A guest behind the socket at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), timeout: Duration::from_secs(30) }
    }

    /// Sets how long the guest may take to accept a connection; 30 seconds unless set.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The monitor's socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the guest may take to accept a connection.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects to `port` in the guest.
    pub fn connect(&self, port: u32) -> Result<UnixStream, ConnectError> {
        self.begin(port)?.finish()
    }

    /// Asks for a connection to `port` without waiting for the guest, so that several are made in
    /// the time of one.
    pub fn begin(&self, port: u32) -> Result<Connecting<'_>, ConnectError> {
        let mut stream = UnixStream::connect(&self.path).map_err(|error| self.failed(error))?;
        stream.set_read_timeout(Some(self.timeout)).map_err(|error| self.failed(error))?;
        let request = format!("CONNECT {port}\n");
        stream.write_all(request.as_bytes()).map_err(|error| self.failed(error))?;
        Ok(Connecting { connector: self, stream, port })
    }

    fn failed(&self, source: io::Error) -> ConnectError {
        ConnectError::Socket { path: self.path.clone(), source }
    }
}

/// A connection that the guest has yet to accept.
#[derive(Debug)]
pub struct Connecting<'a> {
    connector: &'a Connector,
    stream: UnixStream,
    port: u32,
}

impl Connecting<'_> {
    /// Waits until the guest has accepted.
    pub fn finish(mut self) -> Result<UnixStream, ConnectError> {
        let path = || self.connector.path.clone();
        let answer = match read_line(&mut self.stream) {
            Ok(answer) => answer,
            // A monitor whose guest refuses just closes the connection.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Vec::new(),
            Err(error) => return Err(self.connector.failed(error)),
        };
        if answer.is_empty() {
            return Err(ConnectError::Refused { path: path(), port: self.port });
        }
        if !answer.starts_with(b"OK ") || !answer.ends_with(b"\n") {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(ConnectError::BadAnswer { path: path(), answer });
        }
        self.stream.set_read_timeout(None).map_err(|error| self.connector.failed(error))?;
        Ok(self.stream)
    }
}

/// Reads up to a newline, the end, or the longest answer, and nothing beyond it: what follows
/// belongs to the connection's user.
fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LONGEST_ANSWER);
    let mut byte = [0];
    while line.len() < LONGEST_ANSWER && line.last() != Some(&b'\n') {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    /// Connects to a monitor that reads the request and answers `answer`, then closes.
    fn connect_to(answer: &'static [u8]) -> (Result<UnixStream, ConnectError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let monitor = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_line(&mut stream).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8(request).unwrap()
        });
        let result = Connector::new(&path).connect(1024);
        (result, monitor.join().unwrap())
    }

    #[test]
    fn connect_asks_for_the_port_and_leaves_what_follows_the_answer() {
        let (stream, request) = connect_to(b"OK 5000\nhello");
        let mut rest = String::new();
        stream.unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(request, "CONNECT 1024\n");
        assert_eq!(rest, "hello");
    }

    #[test]
    fn a_closed_connection_means_that_nothing_listens() {
        let (result, _) = connect_to(b"");
        assert!(matches!(result, Err(ConnectError::Refused { port: 1024, .. })));
    }

    #[test]
    fn an_endless_answer_is_cut_off() {
        let (result, _) = connect_to(&[b'O'; 100]);
        assert!(matches!(result, Err(ConnectError::BadAnswer { answer, .. })
            if answer.len() == LONGEST_ANSWER));
    }

    #[test]
    fn a_missing_socket_is_named() {
        let error = Connector::new("/nonexistent/v.sock").connect(1).unwrap_err();
        assert_eq!(error.to_string(), "Failed to use vsock socket /nonexistent/v.sock");
    }
}
