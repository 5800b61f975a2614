//! Unix sockets that the switch listens at.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, chmod, lstat, unlink};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

/// Connections that the kernel may hold for us to accept.
const BACKLOG: i32 = 128;

/// Why a socket cannot be listened at.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error("{path} is in use by another process")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something else.
    #[error("{path} exists and is not a socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("failed to listen at {path}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A socket that is listened at. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of the file, so that no other is removed.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at `path`, in place of a socket that nobody listens at any more.
    pub(crate) fn new(path: &Path, kind: SocketType) -> Result<Self, ListenError> {
        let failed =
            |errno: Errno| ListenError::Listen { path: path.to_owned(), source: errno.into() };
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        if let Ok(found) = lstat(path) {
            if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
                return Err(ListenError::NotASocket { path: path.to_owned() });
            }
            let probe = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
            match connect(&probe, &address) {
                // Another kind of socket than asked for is alive as well.
                Ok(()) | Err(Errno::PROTOTYPE) => {
                    return Err(ListenError::InUse { path: path.to_owned() });
                }
                Err(_) => unlink(path).map_err(failed)?,
            }
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::UNIX, kind, flags, None).map_err(failed)?;
        bind(&fd, &address).map_err(failed)?;
        // Nobody can have connected before it listens.
        chmod(path, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        listen(&fd, BACKLOG).map_err(failed)?;
        let file = lstat(path).ok().map(|file| (file.st_dev, file.st_ino));
        Ok(Self { fd, path: path.to_owned(), file })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let found = lstat(&self.path).ok().map(|file| (file.st_dev, file.st_ino));
        if found.is_some() && found == self.file {
            let _ = unlink(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_socket_is_left_alone_and_a_dead_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = Listener::new(&path, SocketType::STREAM).unwrap();
        for kind in [SocketType::STREAM, SocketType::SEQPACKET] {
            let error = Listener::new(&path, kind).unwrap_err();
            assert!(matches!(error, ListenError::InUse { .. }), "{error}");
        }
        // As after a kill: the file stays.
        let mut killed = first;
        killed.file = None;
        drop(killed);
        assert!(path.exists());
        let second = Listener::new(&path, SocketType::SEQPACKET).unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn file_that_is_no_socket_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Listener::new(file.path(), SocketType::STREAM).unwrap_err();
        assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
        assert!(file.path().exists());
    }

    #[test]
    fn only_the_owner_may_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = Listener::new(&path, SocketType::STREAM).unwrap();
        assert_eq!(lstat(&path).unwrap().st_mode & 0o777, 0o600);
    }
}
