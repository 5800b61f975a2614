//! A root that containers can leave.
//!
//! The kernel's first root (an initramfs) can be no process's old root in pivot_root(2), because
//! nothing is below it. So the agent lays a view of it over it and lives there.

use std::{fs, io};

use rustix::{
    fs::statfs,
    mount::{UnmountFlags, mount_bind, mount_move, unmount},
    process::{chdir, chroot},
};

/// `RAMFS_MAGIC` and `TMPFS_MAGIC` (linux/magic.h): what an initramfs may be.
const IN_MEMORY: [i64; 2] = [0x8584_58f6, 0x0102_1994];

/// Where the view is put together.
const PLACE: &str = "/mnt";

/// Goes over to a view of the initramfs. Nothing else may be mounted yet. Does nothing on a
/// machine whose root is a disk.
pub(crate) fn cover() -> io::Result<()> {
    let kind = statfs("/")?.f_type;
    if !IN_MEMORY.iter().any(|magic| i128::from(*magic) == i128::from(kind)) {
        return Ok(());
    }
    fs::create_dir_all(PLACE)?;
    mount_bind("/", PLACE)?;
    chdir(PLACE)?;
    if let Err(errno) = mount_move(".", "/") {
        let _ = unmount(PLACE, UnmountFlags::DETACH);
        return Err(errno.into());
    }
    chroot(".")?;
    Ok(chdir("/")?)
}
