//! One cgroup per session, so that nothing of it outlives it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const PARENT: &str = "/sys/fs/cgroup/lab";
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A session's cgroup; dropping it kills what is left inside.
#[derive(Debug)]
pub struct SessionCgroup {
    path: PathBuf,
}

impl SessionCgroup {
    /// Makes an empty one.
    pub fn create() -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(PARENT).join(number.to_string());
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Kills every process in it (`cgroup.kill`, kernel 5.14 and later).
    pub fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }
}

impl Drop for SessionCgroup {
    fn drop(&mut self) {
        // Processes may still be dying: a directory that cannot go yet costs
        // nothing and disappears with the lab.
        let _ = self.kill();
        let _ = fs::remove_dir(&self.path);
    }
}
