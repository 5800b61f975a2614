//! How many descriptors the agent may have, and what its commands get.

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Enough for every session and connection that the agent admits.
const WANTED: u64 = 16 << 10;

/// The limit that the agent was started with, which its commands get back: the kernel's defaults
/// are what programs are written for.
#[derive(Debug, Clone)]
pub(crate) struct FileLimit {
    original: Rlimit,
}

impl FileLimit {
    /// Raises the agent's own limit, as far as its rights go.
    pub(crate) fn raise() -> Self {
        let original = getrlimit(Resource::Nofile);
        let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= WANTED);
        if !enough(original.current) {
            let maximum = if enough(original.maximum) { original.maximum } else { Some(WANTED) };
            let raised = Rlimit { current: Some(WANTED), maximum };
            if setrlimit(Resource::Nofile, raised).is_err() {
                // Only root raises the maximum. With less the agent refuses commands earlier.
                let raised = Rlimit { current: original.maximum, ..original };
                let _ = setrlimit(Resource::Nofile, raised);
            }
        }
        Self { original }
    }

    /// Sets the original limit, in a child.
    pub(crate) fn restore(&self) -> Result<(), Errno> {
        setrlimit(Resource::Nofile, self.original)
    }
}
