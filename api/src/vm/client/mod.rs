//! A client of a machine's socket, for programs without an event loop.
//!
//! ```no_run
//! use api::vm::client::Client;
//! use api::vm::wire::BootSource;
//!
//! let vm = Client::new("/run/vm1.sock");
//! vm.put_boot_source(&BootSource { kernel_image_path: "/k".into(), ..Default::default() })?;
//! vm.start()?;
//! println!("{:?}", vm.instance()?.state);
//! # Ok::<(), api::vm::client::ClientError>(())
//! ```

mod calls;
mod events;
mod exchange;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

pub use events::Events;
pub use exchange::Reply;

/// Talks to the monitor behind a socket. Each call is a connection of its own, so a client can be
/// shared, and outlives a monitor that is started anew.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Option<Duration>,
}

/// Why a call failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens at the socket.
    #[error("cannot connect to {}", socket.display())]
    Connect {
        /// The socket's path.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke, or took too long.
    #[error("connection to {} failed", socket.display())]
    Connection {
        /// The socket's path.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What came is not an answer of this API.
    #[error("{} does not speak the API of a machine: {reason}", socket.display())]
    Protocol {
        /// The socket's path.
        socket: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The request was refused.
    #[error("{message}")]
    Fault {
        /// The status of the answer.
        status: u16,
        /// Its `fault_message`.
        message: String,
    },
}

impl Client {
    /// A client of the monitor behind this socket, without a limit on time.
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self { socket: socket.as_ref().to_owned(), timeout: None }
    }

    /// Gives up when the monitor lets a single read or write wait for longer.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn connection_error(&self, source: io::Error) -> ClientError {
        ClientError::Connection { socket: self.socket.clone(), source }
    }

    fn protocol_error(&self, reason: impl ToString) -> ClientError {
        ClientError::Protocol { socket: self.socket.clone(), reason: reason.to_string() }
    }
}
