//! What is known of a running lab: a small file in a folder of the user's own.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// How to reach a running lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// QEMU's process.
    pub pid: u32,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// What a client must show.
    pub token: String,
}

impl Record {
    /// Reads the record in `folder`; `None` when there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = path(folder);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("Failed to read {path:?}")),
        };
        Self::parse(&text).with_context(|| format!("{} is damaged", path.display())).map(Some)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            pid: words.next()?.parse().ok()?,
            port: words.next()?.parse().ok()?,
            token: words.next()?.to_owned(),
        })
    }

    /// Puts the record into `folder` at once, readable by its owner only.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let temporary = folder.join("machine.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .with_context(|| format!("Failed to create {}", temporary.display()))?;
        writeln!(file, "{} {} {}", self.pid, self.port, self.token)?;
        fs::rename(&temporary, path(folder)).context("Failed to publish the lab's record")
    }

    /// Removes the record from `folder`.
    pub fn remove(folder: &Path) {
        let _ = fs::remove_file(path(folder));
    }

    /// Connects to the lab.
    pub fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Whether the recorded process still is this lab's QEMU: its command line
    /// names the lab's `folder`.
    pub fn is_running(&self, folder: &Path) -> bool {
        let name = folder.as_os_str().as_encoded_bytes();
        fs::read(format!("/proc/{}/cmdline", self.pid))
            .is_ok_and(|line| line.windows(name.len()).any(|part| part == name))
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("machine")
}

/// Makes `folder`, which nobody else may enter; refuses one that is another's.
pub fn private_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(folder);
    made.with_context(|| format!("Failed to create {}", folder.display()))?;
    let metadata = fs::symlink_metadata(folder)?;
    let own = metadata.uid() == rustix::process::getuid().as_raw();
    if !metadata.is_dir() || !own || metadata.mode() & 0o077 != 0 {
        bail!("{} is not a folder of yours alone", folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_survives_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record { pid: 12, port: 345, token: "abc".into() };
        record.write(folder.path()).unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), Some(record));
    }

    #[test]
    fn missing_record_means_no_lab() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), None);
    }

    #[test]
    fn process_of_another_program_is_not_the_lab() {
        let record = Record { pid: std::process::id(), port: 0, token: String::new() };
        assert!(!record.is_running(Path::new("/no/such/lab/folder")));
    }

    #[test]
    fn folder_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("lab");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_folder(&folder).is_err());
    }
}
