//! The kernel's switches for forwarding (networking/ip-sysctl).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::KernelError;
use super::plan::Bridge;

const ROOT: &str = "/proc/sys/net";

/// Sets what a bridge needs. Where nothing was forwarded before, that begins for the whole host.
pub(super) fn set(bridge: &Bridge) -> Result<(), KernelError> {
    let own = |family: &str, name: &str| format!("{family}/conf/{}/{name}", bridge.name);
    if has_ipv6() {
        put(&own("ipv6", "disable_ipv6"), if bridge.has(true) { "0" } else { "1" })?;
        // Containers tell the host nothing of routes.
        put(&own("ipv6", "accept_ra"), "0")?;
    }
    if bridge.internal {
        return Ok(());
    }
    if bridge.has(false) {
        // For callers at the host's loopback address. What comes from the bridge to such an
        // address is dropped by a rule.
        put(&own("ipv4", "route_localnet"), "1")?;
        put("ipv4/ip_forward", "1")?;
    }
    if bridge.has(true) {
        forward_ipv6()?;
    }
    Ok(())
}

/// Hosts that forward IPv6 do not listen to routers any more unless they are told to.
fn forward_ipv6() -> Result<(), KernelError> {
    let all = "ipv6/conf/all/forwarding";
    if get(all).is_ok_and(|value| value == "1") {
        return Ok(());
    }
    let folder = Path::new(ROOT).join("ipv6/conf");
    let links = fs::read_dir(&folder)
        .map_err(|source| KernelError::Setting { path: folder.clone(), source })?;
    for link in links.flatten() {
        let name = format!("ipv6/conf/{}/accept_ra", link.file_name().to_string_lossy());
        if get(&name).is_ok_and(|value| value == "1") {
            put(&name, "2")?;
        }
    }
    put(all, "1")
}

/// Whether the kernel has IPv6 at all.
pub(super) fn has_ipv6() -> bool {
    Path::new(ROOT).join("ipv6").exists()
}

fn get(name: &str) -> io::Result<String> {
    Ok(fs::read_to_string(Path::new(ROOT).join(name))?.trim().to_owned())
}

fn put(name: &str, value: &str) -> Result<(), KernelError> {
    if get(name).is_ok_and(|now| now == value) {
        return Ok(());
    }
    let path: PathBuf = Path::new(ROOT).join(name);
    fs::write(&path, value).map_err(|source| KernelError::Setting { path, source })
}
