//! Why a disk cannot be opened.

use std::io;
use std::path::PathBuf;

/// Why a disk cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDiskError {
    /// The system refused.
    #[error("failed to open disk {}", path.display())]
    Open {
        /// Host path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A directory, a socket, a terminal.
    #[error("disk {} is neither a regular file nor a block device", path.display())]
    NotADisk {
        /// Host path.
        path: PathBuf,
    },
    /// A descriptor that was passed in cannot be read, or cannot be written though it must.
    #[error("disk {} was passed as a descriptor without the access it needs", path.display())]
    Access {
        /// What it was called.
        path: PathBuf,
    },
    /// Another device, here or in another process, has the disk.
    #[error("disk {} is in use, and {}", path.display(), exclusion(*.read_only))]
    InUse {
        /// Host path.
        path: PathBuf,
        /// Whether it was to be read only.
        read_only: bool,
    },
    /// The lock could not be taken for another reason.
    #[error("failed to lock disk {}", path.display())]
    Lock {
        /// Host path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The size cannot be read.
    #[error("failed to read the size of disk {}", path.display())]
    Size {
        /// Host path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The host's cache cannot be bypassed.
    #[error("disk {} cannot be used with direct I/O", path.display())]
    NoDirectIo {
        /// Host path.
        path: PathBuf,
    },
}

fn exclusion(read_only: bool) -> &'static str {
    if read_only { "its user may write to it" } else { "only one user may write to it" }
}
