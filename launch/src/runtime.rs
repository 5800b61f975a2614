//! Where this user's sockets and running machines are: what a restart of the host empties.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// Where logins have their folders, by the user's number.
const LOGINS: &str = "/run/user";

/// A folder that is somebody else's: what is in it may be a trap.
#[derive(Debug, thiserror::Error)]
pub enum NotOwn {
    /// It belongs to another user, or is no folder.
    #[error("{} is not a folder of this user", .0.display())]
    Other(PathBuf),
    /// It cannot be looked at.
    #[error("failed to look at {}", path.display())]
    Look {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder for the machines that this user starts without an engine.
#[must_use]
pub fn runtime_folder() -> PathBuf {
    match given() {
        Some(folder) => folder.join("bulkhead"),
        None => engine_folder(),
    }
}

/// The folder of this user's engine. The engine and those who look for it agree on it in every
/// environment: one of root is in `/run/bulkhead` though root's logins have folders of their own,
/// and one of a user is in the login's folder also for what `su` or a timer starts without telling.
/// `BULKHEAD_RUNTIME` names another, for all of them.
#[must_use]
pub fn engine_folder() -> PathBuf {
    if let Some(folder) = set("BULKHEAD_RUNTIME") {
        return folder;
    }
    let user = geteuid();
    if user.is_root() {
        return PathBuf::from("/run/bulkhead");
    }
    let login = Path::new(LOGINS).join(user.as_raw().to_string());
    if let Some(folder) = given().or_else(|| own(&login).is_ok().then_some(login)) {
        return folder.join("bulkhead");
    }
    env::temp_dir().join(format!("bulkhead-{}", user.as_raw()))
}

fn given() -> Option<PathBuf> {
    set("XDG_RUNTIME_DIR")
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Refuses a folder that somebody else made: in a shared place it could be a trap. A symbolic link
/// is not followed.
///
/// # Errors
///
/// It is not this user's, or not there.
pub fn own(folder: &Path) -> Result<(), NotOwn> {
    let found = fs::symlink_metadata(folder)
        .map_err(|source| NotOwn::Look { path: folder.to_owned(), source })?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(NotOwn::Other(folder.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_and_file_are_no_folders_of_this_user() {
        let folder = tempfile::tempdir().unwrap();
        own(folder.path()).unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        fs::write(&file, "").unwrap();
        assert!(matches!(own(&link), Err(NotOwn::Other(_))));
        assert!(matches!(own(&file), Err(NotOwn::Other(_))));
        assert!(matches!(own(&folder.path().join("none")), Err(NotOwn::Look { .. })));
    }

    #[test]
    fn engine_of_root_is_not_in_the_folder_of_a_login() {
        if geteuid().is_root() {
            assert_eq!(engine_folder(), Path::new("/run/bulkhead"));
        }
    }
}
