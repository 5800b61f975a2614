//! Attributes of the host's files as the guest gets them.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, statx};
use rustix::io::Errno;

use super::owners::Shown;
use super::protocol::Attr;

/// What the guest is told, and what makes a file this file.
const WANTED: StatxFlags =
    StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID).union(StatxFlags::BTIME);

/// The attributes of what `fd` names.
pub(super) fn stat(fd: impl AsFd) -> Result<Statx, Errno> {
    statx(fd, c"", AtFlags::EMPTY_PATH, WANTED)
}

/// The attributes of what has this name in a folder: itself, if it is a symbolic link.
pub(super) fn stat_at(folder: impl AsFd, name: &CStr) -> Result<Statx, Errno> {
    statx(folder, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, WANTED)
}

/// What the guest gets of them. Of what is not on the root's device the inode number is changed,
/// so that programs do not take two files for one.
pub(super) fn attr(stat: &Statx, shown: Shown, root_device: Option<(u32, u32)>) -> Attr {
    let device = (stat.stx_dev_major, stat.stx_dev_minor);
    let other = root_device.is_some_and(|root| root != device);
    let mark = u64::from(device.0) << 52 ^ u64::from(device.1) << 32;
    Attr {
        ino: if other { stat.stx_ino ^ mark } else { stat.stx_ino },
        size: stat.stx_size,
        blocks: stat.stx_blocks,
        atime: seconds(stat.stx_atime),
        mtime: seconds(stat.stx_mtime),
        ctime: seconds(stat.stx_ctime),
        atimensec: stat.stx_atime.tv_nsec,
        mtimensec: stat.stx_mtime.tv_nsec,
        ctimensec: stat.stx_ctime.tv_nsec,
        mode: shown.mode,
        nlink: stat.stx_nlink,
        uid: shown.uid,
        gid: shown.gid,
        rdev: encode_device(stat.stx_rdev_major, stat.stx_rdev_minor),
        blksize: stat.stx_blksize,
        flags: 0,
    }
}

/// Seconds since 1970, which may be negative: the guest takes them as such.
fn seconds(time: StatxTimestamp) -> u64 {
    time.tv_sec.cast_unsigned()
}

/// As Linux writes device numbers in 32 bits (new_encode_dev).
fn encode_device(major: u32, minor: u32) -> u32 {
    minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_number_is_written_as_linux_does() {
        assert_eq!(encode_device(1, 3), 0x103);
        assert_eq!(encode_device(259, 1000), 0x003_103e8 & 0xff | 259 << 8 | (1000 & !0xff) << 12);
    }
}
