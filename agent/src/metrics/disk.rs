//! Block devices and file systems, from `/proc/diskstats` and the mounts.

use agent_protocol::message::{DiskMetrics, FileSystemMetrics};
use rustix::fs::statvfs;

use super::column;
use crate::machine::power::unescape;

/// The unit of `/proc/diskstats`, whatever the device's sectors are.
const SECTOR: u64 = 512;

/// Reads the lines described in the kernel's `admin-guide/iostats.rst`. Devices that were never
/// used (there are 16 of each kind of RAM disk and loop device) are left out.
pub(super) fn parse(diskstats: &str) -> Vec<DiskMetrics> {
    diskstats
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_ascii_whitespace().collect();
            let name = (*columns.get(2)?).to_owned();
            let (reads, writes) = (column(&columns, 3), column(&columns, 7));
            (reads > 0 || writes > 0).then(|| DiskMetrics {
                name,
                reads,
                read_bytes: column(&columns, 5).saturating_mul(SECTOR),
                writes,
                written_bytes: column(&columns, 9).saturating_mul(SECTOR),
                busy_us: column(&columns, 12).saturating_mul(1000),
            })
        })
        .collect()
}

/// The room in the file systems that lie on devices.
pub(super) fn file_systems(mounts: &str) -> Vec<FileSystemMetrics> {
    mounts
        .lines()
        .filter(|line| line.starts_with("/dev/"))
        .filter_map(|line| {
            let mut columns = line.split(' ').skip(1);
            let (target, kind) = (unescape(columns.next()?), columns.next()?.to_owned());
            let room = statvfs(target.as_str()).ok()?;
            Some(FileSystemMetrics {
                target,
                kind,
                total: room.f_blocks.saturating_mul(room.f_frsize),
                free: room.f_bfree.saturating_mul(room.f_frsize),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_devices_are_listed_in_bytes() {
        let diskstats = " 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
                         254 0 vda 10 1 20 3 4 5 6 7 8 9 10 11 12 13 14\n";
        let expected = DiskMetrics {
            name: "vda".into(),
            reads: 10,
            read_bytes: 20 * 512,
            writes: 4,
            written_bytes: 6 * 512,
            busy_us: 9000,
        };
        assert_eq!(parse(diskstats), [expected]);
    }

    #[test]
    fn only_devices_are_measured() {
        assert_eq!(file_systems("proc / proc rw 0 0\n"), []);
        let measured = file_systems("/dev/vda / ext4 rw 0 0\n");
        assert_eq!(measured.len(), 1);
        assert!(measured[0].total >= measured[0].free);
    }
}
