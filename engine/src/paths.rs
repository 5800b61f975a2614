//! Where the engine keeps what: its state, which stays, and its sockets and machines, which a
//! restart of the host ends.
//!
//! ```text
//!  state    $XDG_DATA_HOME/bulkhead, as root /var/lib/bulkhead
//!  ├── engine.redb       containers, networks, volumes
//!  ├── engine.lock       held by the engine; says who holds it
//!  ├── images/           the content store
//!  ├── disks/            templates of writable disks
//!  ├── containers/ID/    writable disk, logs
//!  └── volumes/NAME/
//!  runtime  $XDG_RUNTIME_DIR/bulkhead, as root /run/bulkhead (launch::engine_folder)
//!  ├── bulkhead.sock     the engine's API
//!  ├── engine.lock       as above
//!  ├── machines/NAME/    a running machine's sockets and record
//!  └── switch/           the switch's sockets
//! ```

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The longest path of a unix socket, in bytes (`sun_path` without its NUL).
const MAX_SOCKET: usize = 107;

/// Bytes that the runtime folder's path leaves for what is below it: the longest is a machine's
/// socket for the agent's call.
const BELOW_RUNTIME: usize = "/machines/".len() + MACHINE_NAME + "/vsock.sock_1024".len();

/// Characters of a container's id that name its machine's folder.
const MACHINE_NAME: usize = 20;

/// Folders given by the user; what is `None` is where the XDG base directory specification has it.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The folder of the state.
    pub state: Option<PathBuf>,
    /// The folder of sockets and machines.
    pub runtime: Option<PathBuf>,
    /// The API's socket.
    pub socket: Option<PathBuf>,
}

/// The engine's folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    state: PathBuf,
    runtime: PathBuf,
    socket: PathBuf,
}

/// A folder that the engine cannot work in.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Neither `HOME` nor `XDG_DATA_HOME` is set.
    #[error("Failed to find a folder for the state: set HOME, XDG_DATA_HOME or --root")]
    NoHome,
    /// A relative path would mean something else to the monitors.
    #[error("{} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// Sockets in it could not be named.
    #[error(
        "{} is too long a path for sockets: at most {} bytes; set --runtime to a shorter one",
        .0.display(),
        MAX_SOCKET - BELOW_RUNTIME
    )]
    TooLong(PathBuf),
    /// It belongs to somebody else, or is no folder.
    #[error("{} is not a folder of this user", .0.display())]
    NotOurs(PathBuf),
    /// Others can replace what is in it.
    #[error("{} can be written by others: remove that permission (chmod go-w)", .0.display())]
    Writable(PathBuf),
    /// The system refuses.
    #[error("Failed to make the folder {}", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Paths {
    /// The folders for this user and environment.
    pub fn find(overrides: Overrides) -> Result<Self, PathError> {
        let runtime = overrides.runtime.unwrap_or_else(launch::engine_folder);
        let state = match overrides.state {
            Some(folder) => folder,
            None => default_state().ok_or(PathError::NoHome)?,
        };
        let socket = overrides.socket.unwrap_or_else(|| runtime.join("bulkhead.sock"));
        for path in [&state, &runtime, &socket] {
            if path.is_relative() {
                return Err(PathError::Relative(path.clone()));
            }
        }
        if runtime.as_os_str().len() > MAX_SOCKET - BELOW_RUNTIME {
            return Err(PathError::TooLong(runtime));
        }
        Ok(Self { state, runtime, socket })
    }

    /// Makes the folders that are missing, and refuses those in which others could meddle.
    pub fn prepare(&self) -> Result<(), PathError> {
        // The group that may use the socket has to get to it.
        let runtime_mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
        prepare(&self.state, 0o700)?;
        prepare(&self.runtime, runtime_mode)?;
        for folder in [self.images(), self.disks(), self.containers(), self.volumes()]
            .iter()
            .chain([&self.machines(), &self.switch()])
        {
            prepare(folder, 0o700)?;
        }
        Ok(())
    }

    /// The folder of what stays.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The folder of what a restart of the host ends.
    #[must_use]
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// The API's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The store's file.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.state.join("engine.redb")
    }

    /// The file that the engine of this state holds locked.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("engine.lock")
    }

    /// The file that the engine of these machines holds locked: two states must not share them.
    #[must_use]
    pub fn runtime_lock(&self) -> PathBuf {
        self.runtime.join("engine.lock")
    }

    /// The content store.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// Templates of writable disks.
    #[must_use]
    pub fn disks(&self) -> PathBuf {
        self.state.join("disks")
    }

    /// The folder of the containers' folders.
    #[must_use]
    pub fn containers(&self) -> PathBuf {
        self.state.join("containers")
    }

    /// What a container keeps: its writable disk, its logs.
    #[must_use]
    pub fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    /// The folder of the volumes' folders.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.state.join("volumes")
    }

    /// The folder of the machines' folders.
    #[must_use]
    pub fn machines(&self) -> PathBuf {
        self.runtime.join("machines")
    }

    /// What a machine has while it runs: sockets, record, logs of its monitor and console. Named
    /// by the first 20 characters of the container's id, as paths of sockets are short.
    #[must_use]
    pub fn machine(&self, id: &str) -> PathBuf {
        self.machines().join(id.get(..MACHINE_NAME).unwrap_or(id))
    }

    /// The folder of the switch's sockets.
    #[must_use]
    pub fn switch(&self) -> PathBuf {
        self.runtime.join("switch")
    }
}

fn default_state() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/bulkhead"));
    }
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    data.map(|folder| folder.join("bulkhead"))
}

/// Makes a folder with this mode, or gives it this mode if it is there and this user's.
fn prepare(folder: &Path, mode: u32) -> Result<(), PathError> {
    let failed = |source| PathError::Make { path: folder.to_owned(), source };
    if let Some(parent) = folder.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Of the link itself: what it points to is not what was asked for.
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(PathError::NotOurs(folder.to_owned()));
    }
    if found.mode() & 0o022 != 0 {
        return Err(PathError::Writable(folder.to_owned()));
    }
    fs::set_permissions(folder, Permissions::from_mode(mode)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_in(folder: &Path) -> Paths {
        Paths::find(Overrides {
            state: Some(folder.join("state")),
            runtime: Some(folder.join("run")),
            socket: None,
        })
        .unwrap()
    }

    #[test]
    fn missing_folders_are_made_for_this_user_only() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_in(folder.path());
        paths.prepare().unwrap();
        for made in [paths.state().to_owned(), paths.images(), paths.machines()] {
            assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
        }
        paths.prepare().unwrap();
        assert_eq!(paths.socket(), folder.path().join("run/bulkhead.sock"));
    }

    #[test]
    fn folder_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_in(folder.path());
        fs::create_dir(paths.state()).unwrap();
        fs::set_permissions(paths.state(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(paths.prepare(), Err(PathError::Writable(path)) if path == paths.state()));
    }

    #[test]
    fn link_in_place_of_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_in(folder.path());
        std::os::unix::fs::symlink("/tmp", paths.state()).unwrap();
        assert!(matches!(paths.prepare(), Err(PathError::NotOurs(path)) if path == paths.state()));
    }

    #[test]
    fn runtime_folder_in_which_sockets_have_no_names_is_refused() {
        let long = PathBuf::from(format!("/{}", "x".repeat(61)));
        let overrides = |runtime: &Path| Overrides {
            runtime: Some(runtime.to_owned()),
            state: Some("/s".into()),
            socket: None,
        };
        assert!(matches!(Paths::find(overrides(&long)), Err(PathError::TooLong(_))));
        let fits = PathBuf::from(format!("/{}", "x".repeat(60)));
        let socket = Paths::find(overrides(&fits)).unwrap().machine(&"a".repeat(64));
        assert_eq!(socket.join("vsock.sock_1024").as_os_str().len(), MAX_SOCKET);
    }

    #[test]
    fn relative_folder_is_refused() {
        let overrides = Overrides { state: Some("here".into()), ..Overrides::default() };
        assert!(matches!(Paths::find(overrides), Err(PathError::Relative(_))));
    }
}
