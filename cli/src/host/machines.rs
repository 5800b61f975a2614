//! The folders of machines: one for each, named after it, under the user's runtime folder.
//!
//! There is no daemon and no index: a folder whose monitor is gone is stale and is removed by
//! whoever meets it.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// Longest name; it is part of socket paths, which hold 108 bytes.
const MAX_NAME: usize = 40;

/// Which process runs a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MonitorRecord {
    /// Its process id.
    pub pid: u32,
    /// When that process started, in clock ticks since boot: a process id alone can be reused.
    pub started: u64,
    /// Whether a `bulkhead vm run` waits for its end, and removes the folder then.
    #[serde(default)]
    pub foreground: bool,
}

impl MonitorRecord {
    /// The record of a process that runs now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, started: start_time(pid)?, foreground: false })
    }

    /// Whether that very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid).is_ok_and(|started| started == self.started)
    }
}

/// Field 22 of `/proc/PID/stat`, of a process that has not ended.
fn start_time(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name, may hold anything; it ends at the last parenthesis.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    match (fields.first(), fields.get(19).map(|f| f.parse())) {
        (Some(&"Z" | &"X"), _) => Err(io::ErrorKind::NotFound.into()),
        (Some(_), Some(Ok(started))) => Ok(started),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The folder that holds the folders of this user's machines.
pub(crate) fn root() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty());
    let base = match runtime {
        Some(folder) => PathBuf::from(folder).join("bulkhead"),
        None if rustix::process::geteuid().is_root() => PathBuf::from("/run/bulkhead"),
        None => {
            let uid = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("bulkhead-{uid}"))
        }
    };
    base.join("vms")
}

/// The folder of one machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineFolder {
    name: String,
    path: PathBuf,
}

impl MachineFolder {
    /// Makes the folder of a new machine. A stale one of that name is removed first.
    pub(crate) fn create(root: &Path, name: &str) -> anyhow::Result<Self> {
        check_name(name)?;
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(root)
            .with_context(|| format!("failed to make the folder of machines {}", root.display()))?;
        own(root)?;
        let _lock = lock(root)?;
        let folder = Self { name: name.to_owned(), path: root.join(name) };
        if folder.path.exists() && !folder.is_stale() {
            bail!(
                "a machine called {name} is running; choose another --name, or end it with: bulkhead vm stop {name}"
            );
        }
        folder.remove();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder.path)
            .with_context(|| format!("failed to make the folder {}", folder.path.display()))?;
        Ok(folder)
    }

    /// The folder of a running machine.
    pub(crate) fn open(root: &Path, name: &str) -> anyhow::Result<Self> {
        check_name(name)?;
        let folder = Self { name: name.to_owned(), path: root.join(name) };
        if !folder.path.exists() || folder.is_stale() {
            bail!("no machine called {name} is running; see: bulkhead vm ls");
        }
        Ok(folder)
    }

    /// All running machines, by name. Stale folders are removed.
    pub(crate) fn list(root: &Path) -> anyhow::Result<Vec<Self>> {
        let entries = match fs::read_dir(root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).context(format!("failed to list {}", root.display())),
        };
        let _lock = lock(root)?;
        let mut folders = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if check_name(&name).is_err() {
                continue;
            }
            let folder = Self { name, path: entry.path() };
            if folder.is_stale() {
                folder.remove();
            } else {
                folders.push(folder);
            }
        }
        folders.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(folders)
    }

    /// The machine's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The monitor's REST socket.
    pub(crate) fn api_socket(&self) -> PathBuf {
        self.path.join("api.sock")
    }

    /// The vsock device's socket.
    pub(crate) fn vsock_socket(&self) -> PathBuf {
        self.path.join("vsock.sock")
    }

    /// The document of the machine.
    pub(crate) fn spec_file(&self) -> PathBuf {
        self.path.join("spec.json")
    }

    /// What the monitor logs.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.path.join("monitor.log")
    }

    fn record_file(&self) -> PathBuf {
        self.path.join("monitor.json")
    }

    /// Writes down which process runs the machine.
    pub(crate) fn set_monitor(&self, record: &MonitorRecord) -> anyhow::Result<()> {
        let path = self.record_file();
        let text = serde_json::to_string(record)?;
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Which process runs the machine.
    pub(crate) fn monitor(&self) -> anyhow::Result<MonitorRecord> {
        let path = self.record_file();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a monitor's record", path.display()))
    }

    /// Whether no process runs the machine. One that is being set up by a living process has no
    /// record yet, but is young.
    fn is_stale(&self) -> bool {
        match self.monitor() {
            Ok(record) => !record.is_alive(),
            Err(_) => {
                let age = fs::metadata(&self.path).and_then(|m| m.modified()).ok();
                age.and_then(|m| m.elapsed().ok()).is_none_or(|age| age.as_secs() > 30)
            }
        }
    }

    /// Removes the folder of a machine that has ended, unless the `bulkhead vm run` that started
    /// it still needs it and does so itself.
    pub(crate) fn retire(&self) {
        if !self.monitor().is_ok_and(|record| record.foreground) {
            self.remove();
        }
    }

    /// Removes the folder and what is in it.
    pub(crate) fn remove(&self) {
        // What is left behind is stale, and the next command tries again.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Keeps others from judging and replacing folders at the same time, until it is dropped.
fn lock(root: &Path) -> anyhow::Result<fs::File> {
    let locked = fs::File::open(root).and_then(|file| {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(file)
    });
    locked.with_context(|| format!("failed to lock {}", root.display()))
}

/// Refuses a folder that somebody else made: in a shared place it could be a trap.
fn own(folder: &Path) -> anyhow::Result<()> {
    let stat = rustix::fs::lstat(folder)
        .with_context(|| format!("failed to look at {}", folder.display()))?;
    let is_folder = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
    if !is_folder || stat.st_uid != rustix::process::geteuid().as_raw() {
        bail!("{} is not a folder of yours; set XDG_RUNTIME_DIR to one", folder.display());
    }
    Ok(())
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(valid) {
        bail!("{name:?} cannot be a machine's name: 1 to {MAX_NAME} letters, digits and dashes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> MonitorRecord {
        MonitorRecord::of(std::process::id()).unwrap()
    }

    #[test]
    fn machine_is_listed_while_its_monitor_lives() {
        let root = tempfile::tempdir().unwrap();
        let folder = MachineFolder::create(root.path(), "one").unwrap();
        folder.set_monitor(&me()).unwrap();
        let dead = MachineFolder::create(root.path(), "two").unwrap();
        dead.set_monitor(&MonitorRecord { started: 1, ..me() }).unwrap();
        let names: Vec<_> = MachineFolder::list(root.path()).unwrap();
        assert_eq!(names.iter().map(MachineFolder::name).collect::<Vec<_>>(), ["one"]);
        assert!(!dead.path.exists(), "stale folders are removed");
    }

    #[test]
    fn name_of_a_running_machine_is_taken_and_a_stale_one_is_free() {
        let root = tempfile::tempdir().unwrap();
        let folder = MachineFolder::create(root.path(), "one").unwrap();
        folder.set_monitor(&me()).unwrap();
        let error = MachineFolder::create(root.path(), "one").unwrap_err();
        assert!(error.to_string().contains("a machine called one is running"));
        folder.set_monitor(&MonitorRecord { started: 1, ..me() }).unwrap();
        MachineFolder::create(root.path(), "one").unwrap();
    }

    #[test]
    fn name_that_could_leave_the_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["", "..", "a/b", "a b", &"x".repeat(41)] {
            assert!(MachineFolder::create(root.path(), name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn of_many_who_want_a_name_one_gets_it() {
        let root = tempfile::tempdir().unwrap();
        let attempts: Vec<_> = (0..16)
            .map(|_| {
                let root = root.path().to_owned();
                std::thread::spawn(move || MachineFolder::create(&root, "one").is_ok())
            })
            .collect();
        let won = attempts.into_iter().map(|t| t.join().unwrap());
        assert_eq!(won.filter(|won| *won).count(), 1);
    }

    #[test]
    fn folder_of_a_machine_in_the_foreground_is_left_to_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let folder = MachineFolder::create(root.path(), "one").unwrap();
        folder.set_monitor(&MonitorRecord { foreground: true, ..me() }).unwrap();
        folder.retire();
        assert!(folder.path.exists());
        folder.set_monitor(&me()).unwrap();
        folder.retire();
        assert!(!folder.path.exists());
    }

    #[test]
    fn unknown_machine_is_named_in_the_error() {
        let root = tempfile::tempdir().unwrap();
        let error = MachineFolder::open(root.path(), "ghost").unwrap_err();
        assert_eq!(error.to_string(), "no machine called ghost is running; see: bulkhead vm ls");
    }

    #[test]
    fn ended_child_is_not_alive_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let record = MonitorRecord::of(child.id());
        child.wait().unwrap();
        assert!(!record.is_ok_and(|r| r.is_alive()));
    }
}
