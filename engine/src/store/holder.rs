//! One engine to a state folder: the second is told who the first is.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// The engine that holds a state folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its API's socket.
    pub socket: PathBuf,
}

/// The state folder is this engine's until it is dropped, or the process ends.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

/// Why a state folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Another engine has it.
    #[error(
        "another engine is at work on {}: process {}, with the socket {}",
        folder.display(),
        holder.pid,
        holder.socket.display()
    )]
    Held {
        /// The state folder.
        folder: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// Another engine is just taking it.
    #[error("another engine is starting on {}", .0.display())]
    Starting(PathBuf),
    /// The lock file cannot be used.
    #[error("Failed to lock {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Hold {
    /// Takes the folder of this lock file for `holder`.
    pub fn take(path: &Path, holder: &Holder) -> Result<Self, HoldError> {
        let failed = |source| HoldError::Io { path: path.to_owned(), source };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(held(path, &mut file)),
            locked => locked.map_err(|error| failed(error.into()))?,
        }
        let text = serde_json::to_vec(holder).map_err(|error| failed(error.into()))?;
        // Emptied first: half a text of this engine is better than the other's.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(&text))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn held(path: &Path, file: &mut File) -> HoldError {
    let folder = path.parent().unwrap_or(path).to_owned();
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    match read.ok().and_then(|_| serde_json::from_str(&text).ok()) {
        Some(holder) => HoldError::Held { folder, holder },
        None => HoldError::Starting(folder),
    }
}
