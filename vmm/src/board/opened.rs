//! What devices need of the host, opened: by name when a machine is configured, and taken by that
//! name when it is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use devices::char::{Backend, BackendError};
use devices::disk::{Disk, FileDisk, OpenDiskError, OpenOptions};
use devices::fs::{Cache, OpenShareError, Share, ShareOptions};
use devices::net::switch_port::{ConnectPortError, SwitchPort};
use devices::net::tap::{OpenTapError, Tap};
use devices::vsock::{BindError, HostSockets};
use vm_spec::{FsCache, HostFolderSpec, StreamSpec, SwitchPortSpec};

use super::inherited::{duplicate, inherited};

/// Disks, interfaces, sockets and streams that no device has yet.
#[derive(Default)]
pub struct Opened {
    disks: Vec<FileDisk>,
    shares: Vec<Share>,
    taps: BTreeMap<String, Vec<Tap>>,
    switch_ports: BTreeMap<(PathBuf, String), SwitchPort>,
    vsock: BTreeMap<PathBuf, HostSockets>,
    streams: Vec<(StreamSpec, Backend)>,
}

impl Opened {
    /// Opens and locks a disk, or takes the descriptor that `path` names (see [`inherited`]).
    ///
    /// # Errors
    /// Names the path.
    pub fn open_disk(&mut self, path: &Path, read_only: bool) -> Result<(), OpenDiskError> {
        let options = OpenOptions { read_only, direct: false };
        let disk = match inherited(path) {
            None => FileDisk::open(path, options)?,
            Some(Ok(fd)) => FileDisk::from_file(fd.into(), path, options)?,
            Some(Err(source)) => {
                return Err(OpenDiskError::Open { path: path.to_owned(), source });
            }
        };
        self.disks.push(disk);
        Ok(())
    }

    /// Closes a disk.
    pub fn close_disk(&mut self, path: &Path) {
        if let Some(at) = self.disks.iter().position(|disk| disk.path() == path) {
            self.disks.remove(at);
        }
    }

    pub(super) fn take_disk(&mut self, path: &Path, read_only: bool) -> Option<FileDisk> {
        let matches = |d: &FileDisk| d.path() == path && d.is_read_only() == read_only;
        let at = self.disks.iter().position(matches)?;
        Some(self.disks.remove(at))
    }

    /// Opens the folder or file of a share, or takes the descriptor that its path names (see
    /// [`inherited`]).
    ///
    /// # Errors
    /// Names the path.
    pub fn open_share(&mut self, folder: &HostFolderSpec) -> Result<(), OpenShareError> {
        let (path, options) = (&folder.path, share_options(folder));
        let share = match inherited(path) {
            None => Share::open(path, options)?,
            Some(Ok(fd)) => Share::from_fd(fd, path, options)?,
            Some(Err(source)) => {
                return Err(OpenShareError::Open { path: path.to_owned(), source });
            }
        };
        self.shares.push(share);
        Ok(())
    }

    pub(super) fn take_share(&mut self, folder: &HostFolderSpec) -> Option<Share> {
        let options = share_options(folder);
        let matches = |s: &Share| s.path() == folder.path && s.options() == options;
        let at = self.shares.iter().position(matches)?;
        Some(self.shares.remove(at))
    }

    /// Attaches to a tap interface.
    ///
    /// # Errors
    /// Names the interface.
    pub fn open_tap(&mut self, name: &str, queues: u16) -> Result<(), OpenTapError> {
        let taps = Tap::open(name, queues)?;
        self.taps.insert(name.to_owned(), taps);
        Ok(())
    }

    /// Detaches from a tap interface.
    pub fn close_tap(&mut self, name: &str) {
        self.taps.remove(name);
    }

    pub(super) fn take_taps(&mut self, name: &str) -> Option<Vec<Tap>> {
        self.taps.remove(name)
    }

    /// Connects to a port of a switch.
    ///
    /// # Errors
    /// Names the switch's socket and the port.
    pub fn open_switch_port(&mut self, spec: &SwitchPortSpec) -> Result<(), ConnectPortError> {
        let port = SwitchPort::connect(&spec.socket, &spec.port)?;
        self.switch_ports.insert((spec.socket.clone(), spec.port.clone()), port);
        Ok(())
    }

    pub(super) fn take_switch_port(&mut self, spec: &SwitchPortSpec) -> Option<SwitchPort> {
        self.switch_ports.remove(&(spec.socket.clone(), spec.port.clone()))
    }

    /// Listens for connections to the guest.
    ///
    /// # Errors
    /// Names the path.
    pub fn bind_vsock(&mut self, path: &Path) -> Result<(), BindError> {
        let sockets = HostSockets::bind(path)?;
        self.vsock.insert(path.to_owned(), sockets);
        Ok(())
    }

    /// Listens no more, and removes the socket.
    pub fn unbind_vsock(&mut self, path: &Path) {
        self.vsock.remove(path);
    }

    pub(super) fn take_vsock(&mut self, path: &Path) -> Option<HostSockets> {
        self.vsock.remove(path)
    }

    /// Opens where the characters of a console go.
    ///
    /// # Errors
    /// Names the path.
    pub fn open_stream(&mut self, stream: &StreamSpec) -> Result<(), BackendError> {
        let backend = match stream {
            StreamSpec::Stdio {} => Backend::stdio()?,
            StreamSpec::Pty {} => {
                let (backend, path) = Backend::pty()?;
                log::info!("console is at {}", path.display());
                backend
            }
            StreamSpec::File { path, limit } => Backend::file(path, *limit)?,
            StreamSpec::Socket { path } => Backend::socket(path)?,
            StreamSpec::Null {} | StreamSpec::Ring { .. } => Backend::null(),
        };
        self.streams.push((stream.clone(), backend));
        Ok(())
    }

    /// Opens a stream unless it is open: one that nobody had to name.
    ///
    /// # Errors
    /// Names the path.
    pub fn ensure_stream(&mut self, stream: &StreamSpec) -> Result<(), BackendError> {
        match self.streams.iter().any(|(opened, _)| opened == stream) {
            true => Ok(()),
            false => self.open_stream(stream),
        }
    }

    /// Closes a stream.
    pub fn close_stream(&mut self, stream: &StreamSpec) {
        drop(self.take_stream(stream));
    }

    pub(super) fn take_stream(&mut self, stream: &StreamSpec) -> Option<Backend> {
        let at = self.streams.iter().position(|(opened, _)| opened == stream)?;
        Some(self.streams.remove(at).1)
    }
}

fn share_options(folder: &HostFolderSpec) -> ShareOptions {
    let cache = match folder.cache {
        FsCache::None => Cache::None,
        FsCache::Auto => Cache::Auto,
        FsCache::Always => Cache::Always,
    };
    ShareOptions { read_only: folder.read_only, cache }
}

/// A tap of a descriptor that this process was started with.
pub(super) fn inherited_tap(number: u32) -> Result<Tap, OpenTapError> {
    let fd = i32::try_from(number).unwrap_or(-1);
    duplicate(number).map_err(|source| OpenTapError::NotATap { fd, source }).and_then(Tap::from_fd)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn disk_is_found_by_path_and_access_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let mut opened = Opened::default();
        opened.open_disk(file.path(), true).unwrap();
        assert!(opened.take_disk(file.path(), false).is_none());
        assert!(opened.take_disk(file.path(), true).is_some());
        assert!(opened.take_disk(file.path(), true).is_none());
    }

    #[test]
    fn disk_of_a_descriptor_is_locked_as_any_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let name = PathBuf::from(format!("fd:{}", file.as_file().as_raw_fd()));
        let mut opened = Opened::default();
        opened.open_disk(&name, false).unwrap();
        let again = Opened::default().open_disk(file.path(), false).unwrap_err();
        assert!(matches!(again, OpenDiskError::InUse { .. }), "{again}");
        assert!(opened.take_disk(&name, false).is_some());
    }

    #[test]
    fn stream_that_was_closed_is_not_found() {
        let (mut opened, ring) = (Opened::default(), StreamSpec::Ring { size: 4096 });
        opened.open_stream(&ring).unwrap();
        opened.close_stream(&ring);
        assert!(opened.take_stream(&ring).is_none());
    }

    #[test]
    fn descriptor_that_is_not_open_is_no_tap() {
        let error = inherited_tap(987_654).err().unwrap();
        assert_eq!(error.to_string(), "descriptor 987654 is not a tap");
    }
}
