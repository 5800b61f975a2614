//! Locks that keep a disk from being written by two users at once.

use std::fs::{File, TryLockError};
use std::os::fd::AsRawFd;
use std::path::Path;

use log::warn;

use super::OpenDiskError;

/// A lock of a disk's file (flock): one writer, or any number of readers. Gone when dropped, or
/// with the process.
///
/// It is on a file description of its own where there can be one: the one that requests go to may
/// be registered with io_uring, which lets go of it some time after the process has ended. So a
/// VM can be started again at once. Where there cannot, because the descriptor was passed in by
/// somebody with more rights, the lock is on that.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held for its drop")] Option<File>);

impl Lock {
    /// Locks `file`, which errors call `path`.
    pub(super) fn take(file: &File, path: &Path, read_only: bool) -> Result<Self, OpenDiskError> {
        let own = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
        let locked = own.as_ref().unwrap_or(file);
        let result = if read_only { locked.try_lock_shared() } else { locked.try_lock() };
        match result {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenDiskError::InUse { path: path.to_owned(), read_only });
            }
            Err(TryLockError::Error(source)) => match source.raw_os_error() {
                Some(libc::ENOLCK | libc::EOPNOTSUPP | libc::ENOSYS) => {
                    warn!("disk {} cannot be locked: {source}", path.display());
                }
                _ => return Err(OpenDiskError::Lock { path: path.to_owned(), source }),
            },
        }
        Ok(Self(own))
    }
}
