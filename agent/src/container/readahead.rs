//! How far the kernel reads ahead in a share.

use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use rustix::fs::{Dev, fstat, major, minor};

/// KiB: the longest read that the host serves in one go. The kernel's usual 128 makes eight
/// requests of it, and each wakes both sides.
const KIB: u32 = 1024;

/// Has the kernel read far ahead on the file system of `root`. A file system that was mounted
/// before keeps it, and so does another part of it.
pub(super) fn widen(root: impl AsFd) -> io::Result<()> {
    let device = fstat(root)?.st_dev;
    fs::write(setting(Path::new("/sys/class/bdi"), device), KIB.to_string())
}

/// Where the kernel has it (Documentation/ABI/testing/sysfs-class-bdi).
fn setting(devices: &Path, device: Dev) -> PathBuf {
    devices.join(format!("{}:{}", major(device), minor(device))).join("read_ahead_kb")
}

#[cfg(test)]
mod tests {
    use rustix::fs::makedev;

    use super::*;

    #[test]
    fn setting_is_found_by_the_number_of_the_device() {
        let path = setting(Path::new("/bdi"), makedev(0, 300));
        assert_eq!(path, Path::new("/bdi/0:300/read_ahead_kb"));
    }
}
