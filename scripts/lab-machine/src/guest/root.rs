//! The file systems a session sees: the host's root, read-only over 9p, under a
//! tmpfs of the session's own; and the lab's devices, processes and cgroups.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_move,
};

/// Where the host's root file system is mounted in the lab.
const HOST: &str = "/host";
/// Where a session builds its root; each session has its own mount here.
const SESSION: &str = "/session";

static HOST_MOUNTED: Mutex<bool> = Mutex::new(false);

/// Mounts the host's root file system, once. Not before the first session: a
/// machine with a 9p mount cannot be saved.
pub fn mount_host() -> Result<()> {
    let mut mounted = HOST_MOUNTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *mounted {
        return Ok(());
    }
    mount(
        "host",
        HOST,
        "9p",
        MountFlags::RDONLY | MountFlags::NOATIME,
        c"trans=virtio,version=9p2000.L,msize=524288,cache=none,access=any",
    )
    .context("Failed to mount the host's root file system")?;
    *mounted = true;
    Ok(())
}

/// Makes the calling process's mount namespace a session's: everything the
/// session writes goes to a tmpfs that goes with it.
pub fn build_and_enter() -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("Failed to make the mounts private")?;
    mount_at("tmpfs", SESSION, "tmpfs", MountFlags::empty(), c"mode=0755,size=75%")?;
    for name in ["upper", "work", "root"] {
        fs::create_dir(Path::new(SESSION).join(name))
            .with_context(|| format!("Failed to create {SESSION}/{name}"))?;
    }
    let root = Path::new(SESSION).join("root");
    mount(
        "session",
        &root,
        "overlay",
        MountFlags::NOATIME,
        c"lowerdir=/host,upperdir=/session/upper,workdir=/session/work",
    )
    .context("Failed to mount the session's root")?;
    mount_at("proc", root.join("proc"), "proc", MountFlags::empty(), c"")?;
    mount_at("sysfs", root.join("sys"), "sysfs", MountFlags::empty(), c"")?;
    mount_bind_recursive("/sys/fs/cgroup", root.join("sys/fs/cgroup"))
        .context("Failed to bind the cgroups")?;
    mount_bind_recursive("/dev", root.join("dev")).context("Failed to bind the devices")?;
    mount_at("tmpfs", root.join("dev/shm"), "tmpfs", MountFlags::empty(), c"mode=1777")?;
    fill_in(&root)?;
    // As switch_root does. A chroot alone would forbid user namespaces below it.
    std::env::set_current_dir(&root).context("Failed to enter the session's root")?;
    mount_move(".", "/").context("Failed to move the session's root into place")?;
    rustix::process::chroot(".").context("Failed to change to the session's root")?;
    std::env::set_current_dir("/").context("Failed to enter the session's root")
}

/// Folders that a minimal host may not have.
fn fill_in(root: &Path) -> Result<()> {
    for (name, mode) in [("tmp", 0o1777), ("var/tmp", 0o1777), ("run", 0o755)] {
        let path = root.join(name);
        if !path.exists() {
            fs::create_dir_all(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
                .with_context(|| format!("Failed to create {}", path.display()))?;
        }
    }
    Ok(())
}

fn mount_at(
    source: &str,
    target: impl AsRef<Path>,
    kind: &str,
    flags: MountFlags,
    options: &CStr,
) -> Result<()> {
    let target = target.as_ref();
    mount(source, target, kind, flags, options)
        .with_context(|| format!("Failed to mount {kind} at {}", target.display()))
}
