//! How files come into the store: written aside, made durable, then given their name.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::StoreError;
use crate::Digest;

/// Where everything lies under the store's folder.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    pub(super) root: PathBuf,
    blobs: PathBuf,
    layers: PathBuf,
    temporary: PathBuf,
}

impl Folders {
    /// Makes the folders, and empties that of files that nobody finished.
    pub(super) fn prepare(root: &Path) -> Result<Self, StoreError> {
        let folders = Self {
            root: root.to_owned(),
            blobs: root.join("blobs/sha256"),
            layers: root.join("layers"),
            temporary: root.join("temporary"),
        };
        for folder in [&folders.blobs, &folders.layers, &folders.temporary] {
            fs::create_dir_all(folder)
                .map_err(|source| StoreError::Write { path: folder.clone(), source })?;
        }
        // Layers may hold what their makers keep secret from other users of the host.
        fs::set_permissions(root, Permissions::from_mode(0o700))
            .map_err(|source| StoreError::Write { path: root.to_owned(), source })?;
        Ok(folders)
    }

    /// Removes what a process that died had begun. Only for the one who holds the lock.
    pub(super) fn sweep_temporary(&self) -> Result<(), StoreError> {
        for path in list(&self.temporary)? {
            remove(&path)?;
        }
        Ok(())
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    pub(super) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers.join(format!("{}.erofs", diff_id.hex()))
    }

    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// A file that goes away unless it is published.
    pub(super) fn temporary_file(&self) -> Result<NamedTempFile, StoreError> {
        NamedTempFile::new_in(&self.temporary)
            .map_err(|source| StoreError::Write { path: self.temporary.clone(), source })
    }

    pub(super) fn all_blobs(&self) -> Result<Vec<PathBuf>, StoreError> {
        list(&self.blobs)
    }

    pub(super) fn all_layers(&self) -> Result<Vec<PathBuf>, StoreError> {
        list(&self.layers)
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::Read { path: folder.to_owned(), source };
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Gives a finished file its name: after a crash it is there as a whole or not at all.
pub(super) fn publish(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    file.as_file().set_permissions(Permissions::from_mode(0o444)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    match path.parent() {
        Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed),
        None => Ok(()),
    }
}

/// Writes and publishes a small file; `temporary` is on the same file system.
pub(super) fn publish_bytes(bytes: &[u8], temporary: &Path, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    let mut file = NamedTempFile::new_in(temporary).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    publish(file, path)
}
