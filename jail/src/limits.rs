//! Resource limits (setrlimit(2)).

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limits to set; `None` leaves one as it is. Soft and hard limit become the same, so that there is
/// no way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Descriptors open at the same time.
    pub open_files: Option<u64>,
    /// Length in bytes to which a file can be made.
    pub file_size: Option<u64>,
    /// Length in bytes of a core dump, which would hold guest memory.
    pub core: Option<u64>,
}

/// A limit that the kernel did not accept: one above the hard limit, say.
#[derive(Debug, thiserror::Error)]
#[error("failed to limit {name} to {value}")]
pub struct LimitError {
    name: &'static str,
    value: u64,
    #[source]
    source: io::Error,
}

impl Limits {
    /// Sets the limits of this process.
    pub fn apply(&self) -> Result<(), LimitError> {
        let limits = [
            (Resource::Nofile, "open files", self.open_files),
            (Resource::Fsize, "file size", self.file_size),
            (Resource::Core, "core size", self.core),
        ];
        for (resource, name, value) in limits {
            if let Some(value) = value {
                set(resource, value).map_err(|source| LimitError { name, value, source })?;
            }
        }
        Ok(())
    }

    /// Raises the soft limit of open files to the hard one; a machine with many connections needs
    /// more than the usual 1024. Returns the limit; `None` if there is none.
    pub fn raise_open_files() -> Result<Option<u64>, LimitError> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let limit = Rlimit { current: maximum, maximum };
        setrlimit(Resource::Nofile, limit).map_err(|source| LimitError {
            name: "open files",
            value: maximum.unwrap_or(u64::MAX),
            source: source.into(),
        })?;
        Ok(maximum)
    }
}

fn set(resource: Resource, value: u64) -> io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    Ok(())
}
