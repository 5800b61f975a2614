//! A machine without an agent, from its start until its monitor serves.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use launch::Folder;
use tokio::net::UnixDatagram;

use super::{SandboxError, Vm};

/// The socket at which a monitor says, once, that its API serves and its guest runs.
#[derive(Debug)]
pub(super) struct Ready {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Ready {
    /// In the folder of a machine that is about to start.
    pub(super) fn listen(folder: &Folder) -> Result<Self, SandboxError> {
        let path = folder.path().join("ready.sock");
        match UnixDatagram::bind(&path) {
            Ok(socket) => Ok(Self { socket, path }),
            Err(source) => Err(SandboxError::Listen { path, source }),
        }
    }

    /// What the monitor has to be told of it.
    pub(super) fn arguments(&self) -> Vec<String> {
        vec!["--notify-socket".to_owned(), self.path.display().to_string()]
    }

    async fn told(&self) -> io::Result<()> {
        self.socket.recv(&mut [0; 64]).await.map(drop)
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // The folder may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// A machine that was started and does not serve yet. Dropping this leaves it as it is.
#[derive(Debug)]
pub struct Booting {
    vm: Vm,
    ready: Ready,
    limit: Duration,
}

impl Booting {
    pub(super) fn new(vm: Vm, ready: Ready, limit: Duration) -> Self {
        Self { vm, ready, limit }
    }

    /// The machine.
    #[must_use]
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Waits until its monitor says that it serves.
    ///
    /// # Errors
    ///
    /// It ended before, or takes too long. One that takes too long still runs.
    pub async fn serves(self) -> Result<(), SandboxError> {
        let Self { vm, ready, limit } = self;
        tokio::select! {
            biased;
            // A guest may end at once that was there.
            told = ready.told() => {
                told.map_err(|source| SandboxError::Listen { path: ready.path.clone(), source })
            }
            end = vm.ended() => Err(SandboxError::Ended {
                message: end.message.clone(),
                console: vm.console(),
            }),
            () = tokio::time::sleep(limit) => Err(SandboxError::Mute(limit)),
        }
    }
}
