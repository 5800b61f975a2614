//! What machines use of the host besides KVM.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::host::machines;

/// Less than this does not hold an image or two.
const LOW_SPACE: u64 = 1 << 30;

pub(super) fn check() -> Vec<Finding> {
    vec![
        tun(),
        huge_pages(),
        cgroups(),
        user_namespaces(),
        vsock(),
        io_uring(),
        space("cache-space", &cache_folder()),
        space("state-space", &machines::root()),
    ]
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn tun() -> Finding {
    let path = "/dev/net/tun";
    match fs::File::options().read(true).write(true).open(path) {
        Ok(_) => Finding::ok("tun", "tap interfaces can be opened"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Finding::warning(
            "tun",
            "/dev/net/tun is missing: no tap networking",
            "Load the module: sudo modprobe tun",
        ),
        Err(e) => Finding::warning(
            "tun",
            format!("/dev/net/tun cannot be opened ({e}): no tap networking"),
            "Let an administrator make the tap: sudo ip tuntap add tap0 mode tap user $USER",
        ),
    }
}

fn huge_pages() -> Finding {
    let free = number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").unwrap_or(0);
    let transparent = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let transparent = transparent.is_ok_and(|modes| !modes.contains("[never]"));
    match (free, transparent) {
        (0, true) => Finding::ok("huge-pages", "transparent huge pages; none reserved"),
        (0, false) => Finding::warning(
            "huge-pages",
            "neither transparent nor reserved huge pages: guests are slower",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        (free, _) => Finding::ok("huge-pages", format!("{free} pages of 2 MiB are free")),
    }
}

fn cgroups() -> Finding {
    match fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        Ok(controllers) => Finding::ok("cgroups", format!("cgroup v2 with {}", controllers.trim())),
        Err(_) => Finding::warning(
            "cgroups",
            "cgroup v2 is not mounted at /sys/fs/cgroup: monitors cannot be limited",
            "Boot with systemd.unified_cgroup_hierarchy=1",
        ),
    }
}

fn user_namespaces() -> Finding {
    let most = number("/proc/sys/user/max_user_namespaces").unwrap_or(0);
    let allowed = number("/proc/sys/kernel/unprivileged_userns_clone") != Some(0);
    let restricted = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    if most > 0 && allowed && !restricted {
        Finding::ok("user-namespaces", "unprivileged users can make them")
    } else {
        Finding::warning(
            "user-namespaces",
            "unprivileged users cannot make user namespaces: no rootless jail",
            "Set kernel.unprivileged_userns_clone=1 and user.max_user_namespaces with sysctl",
        )
    }
}

fn vsock() -> Finding {
    let host = Path::new("/dev/vhost-vsock").exists();
    let note = if host { "; vhost-vsock is there too, and not needed" } else { "" };
    Finding::ok("vsock", format!("guests are reached over unix sockets{note}"))
}

fn io_uring() -> Finding {
    match number("/proc/sys/kernel/io_uring_disabled") {
        Some(2) => disabled_io_uring("nobody"),
        Some(1) if !rustix::process::geteuid().is_root() => disabled_io_uring("root only"),
        Some(_) => Finding::ok("io-uring", "disks can use io_uring"),
        // Kernels before 6.6 have no such switch.
        None => Finding::ok("io-uring", "not switched off; disks fall back where it is missing"),
    }
}

fn disabled_io_uring(who: &str) -> Finding {
    Finding::warning(
        "io-uring",
        format!("kernel.io_uring_disabled lets {who} use it: disks use plain reads and writes"),
        "sudo sysctl kernel.io_uring_disabled=0",
    )
}

fn cache_folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || set("HOME").unwrap_or_else(|| "/root".into()).join(".cache");
    set("BULKHEAD_CACHE")
        .unwrap_or_else(|| set("XDG_CACHE_HOME").unwrap_or_else(home).join("bulkhead"))
}

/// Space where `folder` is or will be.
fn space(id: &'static str, folder: &Path) -> Finding {
    let existing = folder.ancestors().find(|f| f.exists()).unwrap_or(Path::new("/"));
    let Ok(stat) = rustix::fs::statvfs(existing) else {
        return Finding::warning(
            id,
            format!("{} cannot be looked at", existing.display()),
            "Check that the folder can be reached by this user",
        );
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let summary =
        format!("{:.1} GiB free for {}", free as f64 / f64::from(1 << 30), folder.display());
    if free < LOW_SPACE {
        Finding::warning(id, summary, "Make room there, or choose another folder")
    } else {
        Finding::ok(id, summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_found_for_a_folder_that_does_not_exist_yet() {
        let root = tempfile::tempdir().unwrap();
        let finding = space("cache-space", &root.path().join("not/yet"));
        assert!(finding.summary.contains("GiB free for"), "{}", finding.summary);
    }
}
