//! Where volumes lie: `NAME/_data`, and folders on their way out.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::VolumeError;

/// Begins the name of a folder that is being removed. Names of volumes do not begin so.
const DISCARDED: &str = ".removed-";

fn failed<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> VolumeError + use<'a> {
    move |source| VolumeError::Folder { operation, path: path.to_owned(), source }
}

/// The folder of a volume's files.
pub(super) fn data(volumes: &Path, name: &str) -> PathBuf {
    volumes.join(name).join("_data")
}

/// Makes a volume's folders, where they are missing. Containers see the inner one's permissions.
pub(super) fn make(volumes: &Path, name: &str) -> Result<(), VolumeError> {
    let (outer, inner) = (volumes.join(name), data(volumes, name));
    for (folder, mode) in [(&outer, 0o701), (&inner, 0o755)] {
        match DirBuilder::new().mode(mode).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make", folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes a volume's folder out of sight. Fine if there is none.
pub(super) fn discard(volumes: &Path, name: &str) -> Result<(), VolumeError> {
    let folder = volumes.join(name);
    let away = volumes.join(format!("{DISCARDED}{name}"));
    // Of one of the same name before, whose removal did not come to its end.
    remove(&away)?;
    match fs::rename(&folder, &away) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &folder)(error))
        }
        _ => Ok(()),
    }
}

/// Removes what was discarded.
pub(super) fn clean(volumes: &Path) -> Result<(), VolumeError> {
    for entry in fs::read_dir(volumes).map_err(failed("read", volumes))? {
        let entry = entry.map_err(failed("read", volumes))?;
        if entry.file_name().to_string_lossy().starts_with(DISCARDED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), VolumeError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Bytes of all files below, each counted once. What cannot be read is not counted.
pub(super) fn size(folder: &Path) -> u64 {
    let mut seen = HashSet::new();
    let mut left = vec![folder.to_owned()];
    let mut bytes = 0_u64;
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                left.push(entry.path());
            } else if metadata.nlink() < 2 || seen.insert((metadata.dev(), metadata.ino())) {
                bytes = bytes.saturating_add(metadata.len());
            }
        }
    }
    bytes
}
