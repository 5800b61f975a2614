//! Finding disks by the serial numbers that the host gave them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where the machine's disks are looked for.
#[derive(Debug, Clone)]
pub(crate) enum Disks {
    /// Among the kernel's block devices.
    Machine,
    /// In a folder with an entry `SERIAL` for a disk and `SERIAL-N` for its partition N: for
    /// trials without a machine.
    Folder(PathBuf),
}

/// A disk was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("No disk has serial number {0:?}")]
    None(String),
    #[error("Disk {serial:?} has no partition {partition}")]
    NoPartition { serial: String, partition: u32 },
    #[error("Failed to list disks")]
    List(#[source] io::Error),
}

impl Disks {
    /// The device of a whole disk.
    pub(super) fn whole(&self, serial: &str) -> Result<PathBuf, DiskError> {
        match self {
            Self::Machine => Ok(device(&block_device(serial)?)),
            Self::Folder(folder) => {
                present(folder.join(serial)).ok_or_else(|| DiskError::None(serial.to_owned()))
            }
        }
    }

    /// The devices of partitions, in the given order.
    pub(super) fn partitions(
        &self,
        serial: &str,
        partitions: &[u32],
    ) -> Result<Vec<PathBuf>, DiskError> {
        let missing = |partition| DiskError::NoPartition { serial: serial.to_owned(), partition };
        if let Self::Folder(folder) = self {
            let find = |number: &u32| {
                present(folder.join(format!("{serial}-{number}"))).ok_or_else(|| missing(*number))
            };
            return partitions.iter().map(find).collect();
        }
        let disk = block_device(serial)?;
        let known = partitions_of(&disk).map_err(DiskError::List)?;
        let find = |number: &u32| {
            let found = known.iter().find(|(known, _)| known == number);
            found.map(|(_, path)| device(path)).ok_or_else(|| missing(*number))
        };
        partitions.iter().map(find).collect()
    }
}

/// The folder in `/sys/block` of the disk with a serial number.
fn block_device(serial: &str) -> Result<PathBuf, DiskError> {
    for entry in fs::read_dir("/sys/block").map_err(DiskError::List)? {
        let path = entry.map_err(DiskError::List)?.path();
        let found = fs::read_to_string(path.join("serial"));
        if found.is_ok_and(|found| found.trim_end() == serial) {
            return Ok(path);
        }
    }
    Err(DiskError::None(serial.to_owned()))
}

/// Number and folder of each partition.
fn partitions_of(disk: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut partitions = Vec::new();
    for entry in fs::read_dir(disk)? {
        let path = entry?.path();
        let number = fs::read_to_string(path.join("partition"));
        if let Some(number) = number.ok().and_then(|text| text.trim().parse().ok()) {
            partitions.push((number, path));
        }
    }
    Ok(partitions)
}

/// A device's node has the last name of its folder.
fn device(folder: &Path) -> PathBuf {
    Path::new("/dev").join(folder.file_name().unwrap_or_default())
}

fn present(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let error = Disks::Machine.whole("no such disk").unwrap_err();
        assert_eq!(error.to_string(), "No disk has serial number \"no such disk\"");
        let folder = tempfile::tempdir().unwrap();
        let disks = Disks::Folder(folder.path().to_owned());
        let error = disks.partitions("image", &[3]).unwrap_err();
        assert_eq!(error.to_string(), "Disk \"image\" has no partition 3");
    }
}
