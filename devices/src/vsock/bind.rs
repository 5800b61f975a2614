//! Making the machine's listening socket where an old one may lie.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::geteuid;

/// Connections that may wait to be accepted; the kernel cuts it to its own limit.
const WAITING: i32 = 1024;

/// Why a listening socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path ends in no file name.
    #[error("{} does not name a socket", .0.display())]
    NoName(PathBuf),
    /// Another program listens there.
    #[error("{} is in use by another program", .0.display())]
    InUse(PathBuf),
    /// A symbolic link, or something other than a socket, or a socket of another user is there;
    /// it is left alone.
    #[error("{} exists and is not a socket of ours", .0.display())]
    Occupied(PathBuf),
    /// The system refused.
    #[error("failed to {operation} {}", path.display())]
    System {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A directory held open, and a name in it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
}

impl Place {
    /// Opens the directory of `path`.
    pub(super) fn open(path: &Path) -> Result<Self, BindError> {
        let name = path.file_name().ok_or_else(|| BindError::NoName(path.to_owned()))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, parent, flags, Mode::empty())
            .map_err(|e| system("open the folder", parent, e))?;
        Ok(Self { directory, name: name.to_owned() })
    }

    /// A path of `name` in the directory that stays right whatever happens to the directory's own
    /// path, and that is short enough for a socket address. Needs procfs.
    pub(super) fn path_of(&self, name: &std::ffi::OsStr) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd()));
        path.push(name);
        path
    }

    /// What is there, symbolic links not followed; `None` for nothing.
    pub(super) fn stat(&self) -> Result<Option<Stat>, Errno> {
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) fn unlink(&self) -> Result<(), Errno> {
        unlinkat(&self.directory, &self.name, AtFlags::empty())
    }
}

/// Listens at `place`, which `path` led to, after removing a socket that nobody listens on any
/// more. Anything else in the way is an error.
pub(super) fn listen_at(place: &Place, path: &Path) -> Result<UnixListener, BindError> {
    warn_of_open_folder(place.directory.as_fd(), path);
    remove_stale(place, path)?;
    let address = address_of(place, path)?;
    let socket = stream_socket().map_err(|e| system("make a socket for", path, e))?;
    bind(&socket, &address).map_err(|e| match e {
        // Somebody else was faster.
        Errno::ADDRINUSE => BindError::InUse(path.to_owned()),
        e => system("bind a socket to", path, e),
    })?;
    listen(&socket, WAITING).map_err(|e| system("listen on", path, e))?;
    Ok(UnixListener::from(socket))
}

/// A stream socket that does not block.
pub(super) fn stream_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn remove_stale(place: &Place, path: &Path) -> Result<(), BindError> {
    let found = place.stat().map_err(|e| system("look at", path, e))?;
    let Some(found) = found else { return Ok(()) };
    let is_socket = FileType::from_raw_mode(found.st_mode) == FileType::Socket;
    if !is_socket || found.st_uid != geteuid().as_raw() {
        return Err(BindError::Occupied(path.to_owned()));
    }
    let probe = stream_socket().map_err(|e| system("make a socket for", path, e))?;
    match connect(&probe, &address_of(place, path)?) {
        Err(Errno::CONNREFUSED) => match place.unlink() {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(system("remove the stale socket", path, e)),
        },
        // A full queue of connections has a listener, too.
        Ok(()) | Err(Errno::AGAIN) => Err(BindError::InUse(path.to_owned())),
        Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(system("connect to the socket", path, e)),
    }
}

fn address_of(place: &Place, path: &Path) -> Result<SocketAddrUnix, BindError> {
    SocketAddrUnix::new(place.path_of(&place.name)).map_err(|e| system("name the socket", path, e))
}

fn warn_of_open_folder(folder: BorrowedFd<'_>, path: &Path) {
    let Ok(stat) = fstat(folder) else { return };
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        warn!("anybody can replace {}: its folder is writable by all", path.display());
    }
}

pub(super) fn system(operation: &'static str, path: &Path, source: Errno) -> BindError {
    BindError::System { operation, path: path.to_owned(), source: source.into() }
}
