//! Resource limits of a command, and how ready the kernel is to kill it.

use std::{fs, io};

use agent_protocol::message::{Confinement, FailureKind};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::failure::ToFailure;

/// A limit could not be set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("No such resource limit: {0:?}")]
    Unknown(String),
    #[error("Failed to set resource limit {name:?}")]
    Set { name: String, source: io::Error },
    #[error("Failed to set oom_score_adj to {value}")]
    OomScore { value: i32, source: io::Error },
}

impl ToFailure for LimitError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Unknown(_) => FailureKind::InvalidRequest,
            Self::Set { .. } | Self::OomScore { .. } => FailureKind::System,
        }
    }
}

/// Sets the limits of this process.
pub(super) fn apply(confinement: &Confinement) -> Result<(), LimitError> {
    for limit in &confinement.rlimits {
        let name = || limit.name.clone();
        let resource = resource(&limit.name).ok_or_else(|| LimitError::Unknown(name()))?;
        let finite = |value: u64| (value != u64::MAX).then_some(value);
        let value = Rlimit { current: finite(limit.soft), maximum: finite(limit.hard) };
        setrlimit(resource, value)
            .map_err(|errno| LimitError::Set { name: name(), source: errno.into() })?;
    }
    let value = confinement.oom_score_adj;
    if value != 0 {
        fs::write("/proc/self/oom_score_adj", value.to_string())
            .map_err(|source| LimitError::OomScore { value, source })?;
    }
    Ok(())
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}
