//! One cgroup per session, so that nothing of it outlives it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const PARENT: &str = "/sys/fs/cgroup/lab";
/// In `/proc/self/status`: the processors of this process.
const CPUS: &str = "Cpus_allowed_list:";
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A session's cgroup; dropping it kills what is left inside.
#[derive(Debug)]
pub struct SessionCgroup {
    path: PathBuf,
}

/// Makes the cgroup of all sessions. Its processors are this process's: a process that joins a cgroup
/// gets those of the cgroup, whatever it had.
pub fn prepare() -> io::Result<()> {
    fs::create_dir_all(PARENT)?;
    let status = fs::read_to_string("/proc/self/status")?;
    let cpus = status.lines().find_map(|line| line.strip_prefix(CPUS)).unwrap_or_default();
    fs::write(Path::new(PARENT).join("cpuset.cpus"), cpus.trim())
}

impl SessionCgroup {
    /// Makes an empty one.
    pub fn create() -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(PARENT).join(number.to_string());
        fs::create_dir(&path)?;
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
