//! A container's control group (kernel, `admin-guide/cgroup-v2.rst`).

// For leaving the control group namespace of the agent, in a child.
#![allow(unsafe_code)]

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use agent_protocol::message::{FailureKind, Resources};
use rustix::{
    fs::{Mode, OFlags, open},
    thread::{UnshareFlags, unshare_unsafe},
};

use crate::failure::ToFailure;

/// The controllers that limits and metrics need. Their absence matters when a limit is asked for.
const CONTROLLERS: [&str; 5] = ["cpu", "io", "memory", "pids", "cpuset"];

/// A control group could not be made or set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("Failed to make the control group of container {id:?}")]
    Create { id: String, source: io::Error },
    #[error("The guest's kernel has no {0}, which a limit needs")]
    NoController(&'static str),
    #[error("Failed to set {file} to {value:?}")]
    Set { file: &'static str, value: String, source: io::Error },
}

impl ToFailure for CgroupError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoController(_) => FailureKind::Unsupported,
            Self::Create { .. } | Self::Set { .. } => FailureKind::System,
        }
    }
}

/// The folder that containers' control groups are in.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    /// Where the whole hierarchy is mounted.
    pub(crate) hierarchy: PathBuf,
    /// The group of all containers, in it.
    pub(crate) name: String,
}

impl Parent {
    fn path(&self) -> PathBuf {
        self.hierarchy.join(&self.name)
    }

    /// Makes the group of all containers and lets controllers through to those below it.
    fn make(&self) -> io::Result<PathBuf> {
        let path = self.path();
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(path),
            Err(error) => return Err(error),
        }
        for folder in [&self.hierarchy, &path] {
            for controller in CONTROLLERS {
                // One that the kernel lacks is missed when a limit needs it.
                let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        Ok(path)
    }

    /// Removes the group of all containers, for an agent that ends before the machine.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_dir(self.path());
    }
}

/// One container's control group. It is removed with the value.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    folder: OwnedFd,
    events: OwnedFd,
}

impl Cgroup {
    /// Makes the group of a container.
    pub(crate) fn create(parent: &Parent, id: &str) -> Result<Self, CgroupError> {
        let failed = |source| CgroupError::Create { id: id.to_owned(), source };
        let path = parent.make().map_err(failed)?.join(id);
        fs::create_dir(&path).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = open(&path, flags | OFlags::DIRECTORY, Mode::empty()).and_then(|folder| {
            open(path.join("cgroup.events"), flags, Mode::empty()).map(|events| (folder, events))
        });
        match opened {
            Ok((folder, events)) => Ok(Self { path, folder, events }),
            Err(errno) => {
                let _ = fs::remove_dir(&path);
                Err(failed(errno.into()))
            }
        }
    }

    /// Where processes can be born in it.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// What tells of changes of [`Self::is_frozen`] and [`Self::is_empty`], as priority data.
    pub(crate) fn events(&self) -> &OwnedFd {
        &self.events
    }

    /// Whether all processes stand still.
    pub(crate) fn is_frozen(&self) -> bool {
        self.event("frozen") == Some("1".to_owned())
    }

    /// Whether no process is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.event("populated") != Some("1".to_owned())
    }

    fn event(&self, key: &str) -> Option<String> {
        field(&self.read("cgroup.events"), key).map(str::to_owned)
    }

    /// The content of one of its files; empty where the kernel has none.
    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default()
    }

    /// The processes in it.
    pub(crate) fn processes(&self) -> Vec<i32> {
        self.read("cgroup.procs").lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// How many of its processes the kernel killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        number(&self.read("memory.events"), "oom_kill")
    }

    /// Begins to freeze or thaw all processes.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), CgroupError> {
        self.set("cgroup.freeze", if frozen { "1" } else { "0" }, "freezer")
    }

    /// Kills all processes, frozen or not.
    pub(crate) fn kill(&self) -> Result<(), CgroupError> {
        self.set("cgroup.kill", "1", "cgroup.kill (Linux 5.14)")
    }

    /// Sets the limits that are not 0.
    pub(crate) fn limit(&self, limits: &Resources) -> Result<(), CgroupError> {
        let sizes = [
            ("memory.max", limits.memory, "memory controller"),
            ("memory.low", limits.memory_reservation, "memory controller"),
            ("cpu.weight", limits.cpu_weight, "cpu controller"),
            ("pids.max", limits.pids, "pids controller"),
        ];
        for (file, value, needs) in sizes {
            if value != 0 {
                self.set(file, &value.to_string(), needs)?;
            }
        }
        // Without swap in the kernel there is nothing to limit.
        if limits.swap != 0 && self.path.join("memory.swap.max").exists() {
            self.set("memory.swap.max", &limits.swap.to_string(), "memory controller")?;
        }
        if limits.cpu_quota != 0 || limits.cpu_period != 0 {
            let period = if limits.cpu_period == 0 { 100_000 } else { limits.cpu_period };
            let quota = match limits.cpu_quota {
                0 => "max".to_owned(),
                quota => quota.to_string(),
            };
            self.set("cpu.max", &format!("{quota} {period}"), "cpu controller with quotas")?;
        }
        Ok(())
    }

    fn set(&self, file: &'static str, value: &str, needs: &'static str) -> Result<(), CgroupError> {
        match fs::write(self.path.join(file), value) {
            Ok(()) => Ok(()),
            // A file cannot be made in this file system.
            Err(error) if is_missing(&error, &self.path.join(file)) => {
                Err(CgroupError::NoController(needs))
            }
            Err(source) => Err(CgroupError::Set { file, value: value.to_owned(), source }),
        }
    }
}

fn is_missing(error: &io::Error, path: &Path) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        && !path.exists()
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Not while a process is in it, which is then one that cannot be killed.
        if let Err(error) = fs::remove_dir(&self.path) {
            crate::say!("failed to remove control group {:?}: {error}", self.path);
        }
    }
}

/// The value of a line `key value`.
pub(crate) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}

/// The number of a line `key value`, or 0.
pub(crate) fn number(text: &str, key: &str) -> u64 {
    field(text, key).and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Makes the control group that this process is in the root of those it sees.
pub(super) fn enter_namespace() -> io::Result<()> {
    // SAFETY: only CLONE_FILES makes this unsafe, which is not among the flags.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }?)
}

/// Where the second version's hierarchy is mounted.
pub(crate) fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = mounts.lines().find_map(|line| {
        let columns: Vec<&str> = line.split(' ').collect();
        (columns.get(2) == Some(&"cgroup2")).then(|| columns.get(1).copied()).flatten()
    });
    PathBuf::from(found.unwrap_or("/sys/fs/cgroup"))
}
