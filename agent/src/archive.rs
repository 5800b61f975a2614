//! Files of a container as tar archives, read and written in children that are among its mounts.
//!
//! A child that has entered the container's mount namespace has its root, so that no path and no
//! link leads out of it, whether the container runs or not.

mod attributes;
mod changes;
mod node;
mod pack;
mod status;
mod unpack;

use std::{fs::File, io, os::fd::AsFd, os::fd::OwnedFd};

use agent_protocol::message::FailureKind;
use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{WaitOptions, waitpid},
};

use crate::{child, container::path::display, failure::ToFailure};
pub(crate) use changes::compare;
pub(crate) use pack::{Boundary, Pack, own_descriptors};
pub(crate) use status::{last_name, status};
pub(crate) use unpack::Unpack;

/// Files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("No such path in the container: {0}")]
    None(String),
    #[error("Not a folder in the container: {0}")]
    NotAFolder(String),
    #[error("Failed to open {path} in the container")]
    Open { path: String, source: io::Error },
    #[error("Failed to read {path} in the container")]
    Read { path: String, source: io::Error },
    #[error("Failed to write {path} in the container")]
    Write { path: String, source: io::Error },
    #[error("{0} is a folder on one side only")]
    OtherKind(String),
    #[error("Folders lie too deep in one another at {0}")]
    TooDeep(String),
    #[error("Failed to enter the container")]
    Enter(#[source] io::Error),
    #[error("Failed to transfer the archive")]
    Transfer(#[source] io::Error),
    #[error("The archive has a name that leads out of it: {0}")]
    Escape(String),
}

impl ArchiveError {
    /// That a path cannot be opened.
    pub(crate) fn opening(path: &[u8]) -> impl FnOnce(rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        let path = display(path);
        move |errno| match errno {
            Errno::NOENT => Self::None(path),
            Errno::NOTDIR => Self::NotAFolder(path),
            errno => Self::Open { path, source: errno.into() },
        }
    }

    fn reading(path: &[u8]) -> impl FnOnce(io::Error) -> Self {
        let path = display(path);
        move |source| Self::Read { path, source }
    }

    fn writing(path: &[u8]) -> impl FnOnce(io::Error) -> Self {
        let path = display(path);
        move |source| Self::Write { path, source }
    }
}

impl ToFailure for ArchiveError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::None(_) => FailureKind::NoSuchPath,
            Self::NotAFolder(_) | Self::OtherKind(_) | Self::Escape(_) => {
                FailureKind::InvalidRequest
            }
            _ => FailureKind::System,
        }
    }
}

/// Copies what is in one folder into another, by an archive that a child writes.
pub(crate) fn copy(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let child = child::fork_again(&[from.as_fd(), write.as_fd()], || {
        let Ok(sink) = write.try_clone() else { return 1 };
        let packed = own_descriptors().and_then(|descriptors| {
            Pack::new(File::from(sink), Boundary::Everything, descriptors).content_of(from)
        });
        match packed {
            Ok(()) => 0,
            Err(error) => {
                crate::say!("{error}");
                1
            }
        }
    })?;
    drop(write);
    let unpacked = Unpack { keep_kinds: false, keep_owners: true }.run(to, b"", File::from(read));
    let ended = waitpid(Some(child), WaitOptions::empty())?;
    unpacked.map_err(io::Error::other)?;
    match ended.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        _ => Err(io::Error::other("the image's files could not be read")),
    }
}
