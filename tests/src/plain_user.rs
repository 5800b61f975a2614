//! A user without privileges, for programs to be run by.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::process::geteuid;

use crate::process::program;

/// A number that no account has.
const NUMBER: u32 = 41_000;

/// The programs that an engine needs beside it.
const PROGRAMS: [&str; 4] = ["bulkhead", "bulkhead-engine", "bulkhead-switch", "bulkhead-vmm"];

/// Of administrators' folders there are none in such a user's.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A user who may open `/dev/kvm`, as one at the host's desk may, and nothing else. A test that
/// root does not run has such a user already.
#[derive(Debug)]
pub(crate) struct PlainUser {
    /// Where the user finds what was built: it may lie where only root gets to.
    folder: tempfile::TempDir,
    /// That user is another than this process's.
    other: bool,
}

impl PlainUser {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-user-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let user = Self { folder, other: geteuid().is_root() };
        for name in PROGRAMS {
            let (built, copy) = (program(name)?, user.folder.path().join(name));
            if fs::hard_link(&built, &copy).is_err() {
                fs::copy(&built, &copy).with_context(|| format!("copy {}", built.display()))?;
            }
        }
        Ok(user)
    }

    /// One of our programs.
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(name);
        ensure!(path.exists(), "{} is none of the user's programs", path.display());
        Ok(path)
    }

    /// Lets the user have a file or folder.
    pub(crate) fn give(&self, path: &Path) -> anyhow::Result<()> {
        let given = if self.other { chown(path, Some(NUMBER), Some(NUMBER)) } else { Ok(()) };
        given.with_context(|| format!("give {} to the user", path.display()))
    }

    /// A file that the user may read.
    pub(crate) fn copy(&self, file: &Path, name: &str) -> anyhow::Result<PathBuf> {
        let copy = self.folder.path().join(name);
        if !copy.exists() {
            fs::copy(file, &copy).with_context(|| format!("copy {}", file.display()))?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o644))?;
        }
        Ok(copy)
    }

    /// A program as that user runs it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = if self.other {
            let mut command = Command::new("setpriv");
            let number = NUMBER.to_string();
            command.args(["--reuid", &number, "--regid", &number]).args(groups());
            command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env("PATH", format!("{}:{PATH}", self.folder.path().display()));
        for name in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        command
    }
}

/// Where not everybody may open `/dev/kvm`, those at the desk are in its group.
fn groups() -> Vec<String> {
    match fs::metadata("/dev/kvm") {
        Ok(device) if device.mode() & 0o006 != 0o006 && device.gid() != 0 => {
            vec!["--groups".to_owned(), device.gid().to_string()]
        }
        _ => vec!["--clear-groups".to_owned()],
    }
}
