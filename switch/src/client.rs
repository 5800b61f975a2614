//! The engine's side of the control protocol. It blocks; call it where that is allowed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control::{
    Fault, MAX_LINE, Network, NetworkName, Port, PortName, Publication, PublicationName, Request,
    Response, Status,
};

/// How long the switch may take to answer. It does nothing that waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a request to the switch failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens at the control socket.
    #[error("failed to connect to the switch at {path}")]
    Connect {
        /// The control socket.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or no answer came in time.
    #[error("failed to talk to the switch")]
    Talk(#[source] io::Error),
    /// The answer is not one.
    #[error("the switch answered what nobody asked: {0}")]
    Answer(String),
    /// The switch said no.
    #[error(transparent)]
    Refused(#[from] Fault),
}

impl ClientError {
    /// What the switch said, if it said no.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Refused(fault) => Some(fault),
            _ => None,
        }
    }
}

/// A connection to a switch. After an error other than [`ClientError::Refused`] it is of no use.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the control socket.
    ///
    /// # Errors
    ///
    /// [`ClientError::Connect`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let failed = |source| ClientError::Connect { path: path.to_owned(), source };
        connect().map(|stream| Self { stream: BufReader::new(stream) }).map_err(failed)
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// The switch's refusal is [`ClientError::Refused`].
    pub fn call(&mut self, request: &Request) -> Result<Response, ClientError> {
        let encoded = serde_json::to_vec(request);
        let mut line = encoded.map_err(|e| ClientError::Talk(e.into()))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(ClientError::Talk)?;
        line.clear();
        let limit = MAX_ANSWER as u64;
        (&mut self.stream).take(limit).read_until(b'\n', &mut line).map_err(ClientError::Talk)?;
        if line.pop() != Some(b'\n') {
            return Err(ClientError::Talk(io::ErrorKind::UnexpectedEof.into()));
        }
        match serde_json::from_slice(&line) {
            Ok(Response::Failed(fault)) => Err(fault.into()),
            Ok(response) => Ok(response),
            Err(error) => Err(ClientError::Answer(error.to_string())),
        }
    }

    fn done(&mut self, request: &Request) -> Result<(), ClientError> {
        match self.call(request)? {
            Response::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes or changes a network.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn put_network(&mut self, network: Network) -> Result<(), ClientError> {
        self.done(&Request::PutNetwork(network))
    }

    /// Removes a network.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn remove_network(&mut self, id: &str) -> Result<(), ClientError> {
        self.done(&Request::RemoveNetwork(NetworkName { id: id.to_owned() }))
    }

    /// Makes or changes a port.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn put_port(&mut self, port: Port) -> Result<(), ClientError> {
        self.done(&Request::PutPort(port))
    }

    /// Removes a port.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn remove_port(&mut self, port: &str) -> Result<(), ClientError> {
        self.done(&Request::RemovePort(PortName { port: port.to_owned() }))
    }

    /// Publishes, and returns the host's port number.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn publish(&mut self, publication: Publication) -> Result<u16, ClientError> {
        match self.call(&Request::Publish(publication))? {
            Response::Published(published) => Ok(published.host_port),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends a publication.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn unpublish(&mut self, id: &str) -> Result<(), ClientError> {
        self.done(&Request::Unpublish(PublicationName { id: id.to_owned() }))
    }

    /// Asks for everything.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn status(&mut self) -> Result<Status, ClientError> {
        match self.call(&Request::Status)? {
            Response::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends the switch.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn shut_down(&mut self) -> Result<(), ClientError> {
        self.done(&Request::Shutdown)
    }
}

/// The longest answer: the status of very many ports.
const MAX_ANSWER: usize = 64 * MAX_LINE;

fn unexpected(response: &Response) -> ClientError {
    ClientError::Answer(format!("{response:?}").chars().take(100).collect())
}
