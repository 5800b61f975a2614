//! The path of a machine's socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The file of a socket that listens. Removed with this value, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Why nobody can listen at a path.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody listens already.
    #[error("Failed to open the API socket at {}: it is in use", .0.display())]
    InUse(PathBuf),
    /// Something other than a socket is there, or a link.
    #[error("Failed to open the API socket at {}: something else is there", .0.display())]
    Occupied(PathBuf),
    /// The system refuses.
    #[error("Failed to open the API socket at {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens at a path. A socket there at which nobody listens any more is replaced; all else that is
/// there stays and is an error.
///
/// # Errors
///
/// [`ListenError`]
pub fn listen(path: impl AsRef<Path>) -> Result<(UnixListener, SocketFile), ListenError> {
    let path = path.as_ref();
    let io_error = |source| ListenError::Io { path: path.to_owned(), source };
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    let listener = listener.map_err(io_error)?;
    let identity = identity(path).map_err(io_error)?;
    Ok((listener, SocketFile { path: path.to_owned(), identity }))
}

/// Removes a socket at which nobody listens.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let io_error = |source| ListenError::Io { path: path.to_owned(), source };
    // Of the link itself: where it points to is not ours to remove.
    let found = fs::symlink_metadata(path).map_err(io_error)?;
    if !found.file_type().is_socket() {
        return Err(ListenError::Occupied(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io_error)
        }
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
        Err(error) => Err(io_error(error)),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl SocketFile {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // A jailed monitor may not be able to, and nobody could be told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn socket_is_removed_with_its_file() {
        let folder = folder();
        let path = folder.path().join("s");
        let (listener, file) = listen(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert!(listener.accept().is_ok());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn socket_in_use_is_refused_and_stays() {
        let folder = folder();
        let path = folder.path().join("s");
        let (_listener, _file) = listen(&path).unwrap();
        assert!(matches!(listen(&path), Err(ListenError::InUse(_))));
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn stale_socket_is_replaced() {
        let folder = folder();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, _file) = listen(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn file_is_refused_and_stays() {
        let folder = folder();
        let path = folder.path().join("s");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(listen(&path), Err(ListenError::Occupied(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn link_is_refused_even_to_a_stale_socket() {
        let folder = folder();
        let (target, path) = (folder.path().join("t"), folder.path().join("s"));
        drop(UnixListener::bind(&target).unwrap());
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(listen(&path), Err(ListenError::Occupied(_))));
        assert!(target.exists() && path.is_symlink());
    }

    #[test]
    fn missing_folder_is_named() {
        let error = listen("/nonexistent/s").unwrap_err();
        assert_eq!(error.to_string(), "Failed to open the API socket at /nonexistent/s");
    }

    #[test]
    fn file_of_another_is_not_removed() {
        let folder = folder();
        let path = folder.path().join("s");
        let (_listener, file) = listen(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
