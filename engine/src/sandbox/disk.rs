//! Writable disks: sparse files with an empty ext4 file system.
//!
//! `mke2fs` makes one template for each size. A disk is a copy of it, which shares its blocks where
//! the host's file system can, and else copies the few that hold something.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
use tokio::process::Command;
use tokio::sync::Mutex;

/// Where `mke2fs` is for users whose PATH has no administrators' programs.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// The most that is copied at once.
const CHUNK: usize = 1 << 20;

/// How the names of files end that are being made.
const UNFINISHED: &str = "new";

/// Disks have whole MiB.
const MIB: u64 = 1 << 20;

/// Makes writable disks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Disks {
    templates: PathBuf,
    /// Held while a template is made.
    making: Arc<Mutex<()>>,
}

/// A writable disk could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// `mke2fs` is not installed, or does not run.
    #[error("Failed to run mke2fs, which makes writable disks (install e2fsprogs)")]
    Program(#[source] io::Error),
    /// `mke2fs` could not do it.
    #[error("mke2fs made no file system on {}: {reason}", path.display())]
    FileSystem {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The file cannot be made; the host's disk may be full.
    #[error("Failed to make the disk {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Disks {
    /// Keeps templates in this folder.
    #[must_use]
    pub fn new(templates: impl Into<PathBuf>) -> Self {
        Self { templates: templates.into(), making: Arc::default() }
    }

    /// Makes a disk of at least `bytes` at `path`, or nothing. The file takes little space until
    /// something is written to it.
    pub async fn make(&self, bytes: u64, path: &Path) -> Result<(), DiskError> {
        let template = self.template(bytes.div_ceil(MIB)).await?;
        let target = path.to_owned();
        let failed = |source| DiskError::Write { path: path.to_owned(), source };
        let copying = tokio::task::spawn_blocking(move || copy(&template, &target));
        copying.await.map_err(|e| failed(io::Error::other(e)))?.map_err(failed)
    }

    /// Removes what an engine left that was killed while it made a template. To be called before
    /// any is made.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.templates) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                // It takes some room, and no more, where this fails.
                let _ = fs::remove_file(path);
            }
        }
    }

    async fn template(&self, mib: u64) -> Result<PathBuf, DiskError> {
        let path = self.templates.join(format!("ext4-{mib}m"));
        let _making = self.making.lock().await;
        if path.exists() {
            return Ok(path);
        }
        // Of this engine's own: the mke2fs of a killed one may still be at work on another.
        let new = path.with_extension(format!("{}.{UNFINISHED}", std::process::id()));
        let failed = |source| DiskError::Write { path: new.clone(), source };
        let made = File::create(&new).and_then(|file| file.set_len(mib.saturating_mul(MIB)));
        made.map_err(failed)?;
        let formatted = make_file_system(&new).await;
        let done = match formatted {
            Ok(()) => fs::rename(&new, &path).map_err(failed),
            error => error,
        };
        if done.is_err() {
            // The error that is told is why; what stays is swept away the next time.
            let _ = fs::remove_file(&new);
        }
        done.map(|()| path)
    }
}

async fn make_file_system(path: &Path) -> Result<(), DiskError> {
    let given = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("mke2fs")
        .env("PATH", format!("{given}:{SYSTEM_PATH}"))
        // No blocks kept for root; tables and journal are written when they are used.
        .args(["-q", "-F", "-t", "ext4", "-m", "0"])
        .args(["-E", "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"])
        .arg(path)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(DiskError::Program)?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(DiskError::FileSystem { path: path.to_owned(), reason })
}

/// Makes `target` at once or not at all.
fn copy(template: &Path, target: &Path) -> io::Result<()> {
    let new = target.with_extension("new");
    let copied = copy_data(&File::open(template)?, &new).and_then(|()| fs::rename(&new, target));
    if copied.is_err() {
        // As above: the copy's error counts.
        let _ = fs::remove_file(&new);
    }
    copied
}

fn copy_data(from: &File, path: &Path) -> io::Result<()> {
    let to = File::create(path)?;
    if ioctl_ficlone(&to, from).is_ok() {
        return Ok(());
    }
    to.set_len(from.metadata()?.len())?;
    let (mut buffer, mut hole) = (vec![0; CHUNK], 0);
    // Each round begins at a hole, or at the file's beginning.
    while let Some(data) = position(from, SeekFrom::Data(hole))? {
        hole = position(from, SeekFrom::Hole(data))?.unwrap_or(data);
        let mut at = data;
        while at < hole {
            let length = usize::try_from(hole - at).unwrap_or(CHUNK).min(CHUNK);
            let piece = buffer.get_mut(..length).unwrap_or_default();
            from.read_exact_at(piece, at)?;
            to.write_all_at(piece, at)?;
            at += u64::try_from(length).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Where data or a hole comes next; `None` after the last data.
fn position(file: &File, from: SeekFrom) -> io::Result<Option<u64>> {
    match seek(file, from) {
        Err(rustix::io::Errno::NXIO) => Ok(None),
        position => Ok(Some(position?)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const GIB: u64 = 1 << 30;

    #[tokio::test]
    async fn disk_is_a_sound_file_system_that_takes_little_space() {
        let folder = tempfile::tempdir().unwrap();
        let disks = Disks::new(folder.path());
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let (a, b) = tokio::join!(disks.make(GIB, &one), disks.make(GIB, &two));
        a.unwrap();
        b.unwrap();
        for disk in [one, two] {
            let metadata = fs::metadata(&disk).unwrap();
            assert_eq!(metadata.len(), GIB);
            assert!(metadata.blocks() * 512 < 64 * MIB, "{} blocks", metadata.blocks());
            let path = format!("{}:{SYSTEM_PATH}", std::env::var("PATH").unwrap_or_default());
            let checked = std::process::Command::new("e2fsck")
                .env("PATH", path)
                .args(["-fn".as_ref(), disk.as_os_str()])
                .output()
                .unwrap();
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        }
    }

    #[test]
    fn copy_has_the_data_and_the_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let file = File::create(&from).unwrap();
        file.set_len(64 * MIB).unwrap();
        file.write_all_at(b"first", 0).unwrap();
        file.write_all_at(b"middle", 40 * MIB + 3).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
        assert!(fs::metadata(&to).unwrap().blocks() * 512 < MIB);
    }

    #[tokio::test]
    async fn disk_too_small_for_a_file_system_is_refused_with_mke2fs_words() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        let error = Disks::new(folder.path()).make(0, &disk).await.unwrap_err();
        assert!(matches!(error, DiskError::FileSystem { .. }), "{error:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn templates_that_were_never_finished_are_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let disks = Disks::new(folder.path());
        disks.make(16 * MIB, &folder.path().join("disk")).await.unwrap();
        fs::write(folder.path().join("ext4-64m.4711.new"), "half").unwrap();
        disks.sweep();
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["disk", "ext4-16m"]);
    }

    #[tokio::test]
    async fn folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("missing/disk");
        let error = Disks::new(folder.path()).make(16 * MIB, &disk).await.unwrap_err();
        assert_eq!(error.to_string(), format!("Failed to make the disk {}", disk.display()));
    }
}
