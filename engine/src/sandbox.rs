//! A machine with its agent, for containers to run in.
//!
//! ```text
//!  Sandboxes::start ──► folder and record ─► monitor ─► agent's call ──► Sandbox
//!  Sandboxes::adopt ──► record, checked against reuse ─► agent ────────► Sandbox
//! ```
//!
//! A machine outlives the engine that started it. All that is needed to find it again is in its
//! folder, and each step is written down there before it is done: the folder has a record before
//! there is a monitor, and the monitor gets its document only once it is on record itself. An
//! engine that was killed at any moment leaves either a machine that the next one finds, or
//! nothing.

mod console;
mod disk;
mod document;
mod guest;
mod life;
mod monitor;
#[cfg(test)]
mod played;
mod ready;
mod reconcile;
mod spec;
mod start;
mod vm;

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::client::GreetError;
use launch::{FolderError, LaunchError};
use tokio::sync::Semaphore;

pub use console::{file as console_file, stream as console_stream};
pub use disk::{DiskError, Disks};
pub use document::{CardEnd, DocumentError, console_limit};
pub use guest::{Guest, GuestError, GuestOverrides};
pub use launch::{EndRecord, events};
pub use life::Sandbox;
#[cfg(test)]
pub(crate) use played::PlayedMachine;
pub use ready::Booting;
pub use spec::{Cable, Card, Disk, DiskContent, SandboxSpec, Share};
pub use start::Adopted;
pub use vm::{ControlError, Vm};

use crate::paths::Paths;

/// How long a guest may take until its agent calls, unless set otherwise.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// Starts machines and finds them again. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    paths: Paths,
    guest: GuestOverrides,
    monitor: PathBuf,
    boot_limit: Duration,
    /// One for each machine that may boot at this time.
    boots: Arc<Semaphore>,
}

/// A machine could not be started or found again.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is one of this id already.
    #[error("the machine {0} is running already")]
    Running(String),
    /// There is nothing to boot.
    #[error("Failed to find a guest for the machine")]
    Guest(#[source] GuestError),
    /// Its folder cannot be made.
    #[error("Failed to make the machine's folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The socket for its agent's call cannot be made.
    #[error("Failed to listen for the machine's agent on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its record cannot be read or written.
    #[error("Failed to keep the machine's record")]
    Record(#[source] FolderError),
    /// No machine can be made of what is asked for.
    #[error("Failed to describe the machine")]
    Document(#[source] DocumentError),
    /// The monitor does not run.
    #[error("Failed to start the machine")]
    Launch(#[source] LaunchError),
    /// The monitor's process cannot be watched.
    #[error("Failed to watch the machine's monitor")]
    Watch(#[source] std::io::Error),
    /// The agent called and could not be understood.
    #[error("Failed to greet the agent in the machine")]
    Greet(#[source] GreetError),
    /// The machine ended before its agent called.
    #[error("the machine ended before it was ready: {message}{console}")]
    Ended {
        /// How.
        message: String,
        /// The console's last lines, each on one of its own, or empty.
        console: String,
    },
    /// The monitor did not say in time that it serves.
    #[error("the machine's monitor did not serve within {0:?}")]
    Mute(Duration),
    /// The agent did not call in time.
    #[error("the agent in the machine did not call within {limit:?}{console}")]
    Late {
        /// How long it was waited for.
        limit: Duration,
        /// The console's last lines, each on one of its own, or empty.
        console: String,
    },
}

impl Sandboxes {
    /// Machines in these folders. What they boot is sought at each start, where it is not given.
    #[must_use]
    pub fn new(paths: Paths, guest: GuestOverrides) -> Self {
        // A boot is work for a processor: more at once would only make each last longer.
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let boots = Arc::new(Semaphore::new(processors.max(2)));
        Self { paths, guest, monitor: launch::program(), boot_limit: BOOT_LIMIT, boots }
    }

    /// Sets the monitor's program; found as [`launch::program`] does unless set.
    #[must_use]
    pub fn with_monitor(self, monitor: impl Into<PathBuf>) -> Self {
        Self { monitor: monitor.into(), ..self }
    }

    /// Sets how long a guest may take until its agent calls; a minute unless set.
    #[must_use]
    pub fn with_boot_limit(self, boot_limit: Duration) -> Self {
        Self { boot_limit, ..self }
    }
}
