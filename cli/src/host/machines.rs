//! The folders of machines: one for each, named after it, under the user's runtime folder.
//!
//! There is no daemon and no index. A machine in the background leaves its folder behind when it
//! has ended, for the user to look at; any other folder without processes is stale and is removed
//! by whoever meets it.

use std::fs;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use launch::{Folder, Life, ProcessId, Record};

/// Longest name; it is part of socket paths, which hold 108 bytes.
const MAX_NAME: usize = 40;

/// The folder that holds the folders of this user's machines.
pub(crate) fn root() -> PathBuf {
    launch::runtime_folder().join("vms")
}

/// The folder of one machine, found by its name.
#[derive(Clone, Debug)]
pub(crate) struct MachineFolder(Folder);

impl Deref for MachineFolder {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.0
    }
}

impl MachineFolder {
    /// Makes the folder of a new machine, which this process owns. One of that name that has
    /// ended is removed first.
    pub(crate) fn create(root: &Path, name: &str, detached: bool) -> anyhow::Result<Self> {
        check_name(name)?;
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(root)
            .with_context(|| format!("failed to make the folder of machines {}", root.display()))?;
        own(root)?;
        let _lock = lock(root)?;
        let folder = Self(Folder::new(name, root.join(name)));
        if matches!(folder.life(), Life::Running(_) | Life::Owned) {
            bail!(
                "a machine called {name} is running; choose another --name, or end it with: bulkhead vm stop {name}"
            );
        }
        folder.remove();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(folder.path())
            .with_context(|| format!("failed to make the folder {}", folder.path().display()))?;
        let owner = ProcessId::own().context("failed to look at this process in /proc")?;
        folder.write(&Record { owner, monitor: None, detached })?;
        Ok(folder)
    }

    /// The folder of a running machine.
    pub(crate) fn open(root: &Path, name: &str) -> anyhow::Result<Self> {
        let folder = Self::find(root, name)?;
        match folder.life() {
            Life::Running(_) | Life::Owned => Ok(folder),
            Life::Ended => bail!("{name} has ended; see: bulkhead vm inspect {name}"),
            Life::Stale => bail!("no machine called {name} is running; see: bulkhead vm ls"),
        }
    }

    /// The folder of a machine that runs, or that has ended and was not removed.
    pub(crate) fn find(root: &Path, name: &str) -> anyhow::Result<Self> {
        check_name(name)?;
        let folder = Self(Folder::new(name, root.join(name)));
        if folder.life() == Life::Stale {
            bail!("no machine called {name} is running; see: bulkhead vm ls");
        }
        Ok(folder)
    }

    /// All machines, by name, those that have ended included. Stale folders are removed.
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
            let folder = Self(Folder::new(name, entry.path()));
            if folder.life() == Life::Stale {
                folder.remove();
            } else {
                folders.push(folder);
            }
        }
        folders.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(folders)
    }

    /// Which process runs the machine.
    pub(crate) fn monitor(&self) -> anyhow::Result<ProcessId> {
        let monitor = self.record()?.monitor;
        monitor.with_context(|| format!("{} is starting; try again", self.name()))
    }

    /// Removes the folder of a machine that has ended.
    pub(crate) fn discard(&self) -> anyhow::Result<()> {
        let _lock = self.path().parent().map(lock).transpose()?;
        if matches!(self.life(), Life::Running(_) | Life::Owned) {
            bail!("{0} is running; end it before with: bulkhead vm stop {0}", self.name());
        }
        fs::remove_dir_all(self.path())
            .with_context(|| format!("failed to remove {}", self.path().display()))
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

    /// A machine whose processes have all ended.
    fn ended(root: &Path, name: &str, detached: bool) -> MachineFolder {
        let folder = MachineFolder::create(root, name, detached).unwrap();
        let dead = ProcessId { started: 1, ..ProcessId::own().unwrap() };
        folder.write(&Record { owner: dead, monitor: Some(dead), detached }).unwrap();
        folder
    }

    fn running(root: &Path, name: &str) -> MachineFolder {
        let folder = MachineFolder::create(root, name, true).unwrap();
        folder.set_monitor(ProcessId::own().unwrap()).unwrap();
        folder
    }

    #[test]
    fn machine_in_the_background_stays_in_the_list_and_one_in_the_foreground_goes() {
        let root = tempfile::tempdir().unwrap();
        running(root.path(), "one");
        let kept = ended(root.path(), "two", true);
        let stale = ended(root.path(), "three", false);
        let names = MachineFolder::list(root.path()).unwrap();
        assert_eq!(names.iter().map(|folder| folder.name()).collect::<Vec<_>>(), ["one", "two"]);
        assert!(kept.path().exists());
        assert!(!stale.path().exists(), "stale folders are removed");
    }

    #[test]
    fn name_of_a_running_machine_is_taken_and_that_of_an_ended_one_is_free() {
        let root = tempfile::tempdir().unwrap();
        let create = |name| MachineFolder::create(root.path(), name, true);
        running(root.path(), "one");
        let error = create("one").unwrap_err();
        assert!(error.to_string().contains("a machine called one is running"));
        fs::write(ended(root.path(), "two", true).log_file(), "old").unwrap();
        assert!(!create("two").unwrap().log_file().exists());
    }

    #[test]
    fn name_that_could_leave_the_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["", "..", "a/b", "a b", &"x".repeat(41)] {
            assert!(MachineFolder::create(root.path(), name, false).is_err(), "{name:?}");
        }
    }

    #[test]
    fn of_many_who_want_a_name_one_gets_it() {
        let root = tempfile::tempdir().unwrap();
        let attempts: Vec<_> = (0..16)
            .map(|_| {
                let root = root.path().to_owned();
                std::thread::spawn(move || MachineFolder::create(&root, "one", false).is_ok())
            })
            .collect();
        let won = attempts.into_iter().map(|t| t.join().unwrap());
        assert_eq!(won.filter(|won| *won).count(), 1);
    }

    #[test]
    fn only_a_machine_that_has_ended_can_be_discarded() {
        let root = tempfile::tempdir().unwrap();
        let error = running(root.path(), "one").discard().unwrap_err().to_string();
        assert_eq!(error, "one is running; end it before with: bulkhead vm stop one");
        let kept = ended(root.path(), "two", true);
        kept.discard().unwrap();
        assert!(!kept.path().exists());
    }

    #[test]
    fn unknown_and_ended_machines_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let message = |name| MachineFolder::open(root.path(), name).unwrap_err().to_string();
        assert_eq!(message("ghost"), "no machine called ghost is running; see: bulkhead vm ls");
        ended(root.path(), "two", true);
        assert_eq!(message("two"), "two has ended; see: bulkhead vm inspect two");
    }
}
