//! The end of the machine.

use std::{convert::Infallible, fs, io};

use agent_protocol::message::PowerMode;
use rustix::{
    fs::sync,
    mount::{MountFlags, UnmountFlags, mount_remount, unmount},
    system::{RebootCommand, reboot},
};

/// Ends the machine after file systems are written out. Only for PID 1.
pub(crate) fn end(mode: PowerMode) -> io::Result<Infallible> {
    let command = match mode {
        PowerMode::PowerOff => RebootCommand::PowerOff,
        PowerMode::Reboot => RebootCommand::Restart,
    };
    sync();
    release_disks();
    reboot(command)?;
    Err(io::Error::other("the kernel carried on"))
}

/// Makes the kernel leave Ctrl-Alt-Del to the agent, which writes file systems out first.
pub(crate) fn handle_ctrl_alt_del() -> io::Result<()> {
    Ok(reboot(RebootCommand::CadOff)?)
}

/// Unmounts file systems on block devices, the latest first, so that they need no check at their
/// next use. One in use is made read-only instead, as far as the kernel lets it.
fn release_disks() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in disk_mounts(&mounts).into_iter().rev() {
        if unmount(target.as_str(), UnmountFlags::empty()).is_err() {
            // Files open for writing prevent this; they have been synced.
            let _ = mount_remount(target.as_str(), MountFlags::RDONLY, "");
        }
    }
}

/// The targets of mounts whose source is a device, in mount order.
fn disk_mounts(mounts: &str) -> Vec<String> {
    mounts
        .lines()
        .filter(|line| line.starts_with("/dev/"))
        .filter_map(|line| line.split(' ').nth(1))
        .map(unescape)
        .collect()
}

/// Undoes the octal escapes of `/proc/self/mounts` (proc(5)).
pub(crate) fn unescape(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (escape, letter)| path.replace(escape, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_of_devices_are_released() {
        let mounts = "proc /proc proc rw 0 0\n/dev/vda / ext4 rw 0 0\n\
                      tmpfs /run tmpfs rw 0 0\n/dev/vdb /my\\040data ext4 rw 0 0\n";
        assert_eq!(disk_mounts(mounts), ["/", "/my data"]);
    }
}
